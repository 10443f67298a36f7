"""A response's input in the filter: what is read of its items, what holds for any history."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cost import message_set
from proxy.filtering import result as filtering_result
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.relevance.filter import Verdict
from proxy.relevance.messages import Message
from proxy.wire import responses
from proxy.wire.dialect import Request, Route

ROUTE = Route("https://x", "/responses", "responses", is_filtered=True)
MODES = ("very_strict", "strict", "lax")
Item = dict[str, Any]
CURRENT_TURN = {"reasoning": {"context": "current_turn"}}


def request(items: Any, **more: Any) -> Request:
    body = json.dumps({"model": "m", "input": items} | more).encode()
    return responses.read(body, ROUTE, most_messages=2000)


def read(*items: Item) -> list[Message]:
    return request(list(items)).messages


def filtered(items: list[Item], mode: str = "strict", **more: Any) -> FilterResult:
    options = FilterOptions(mode, seconds=60)
    return filtering_result.filtered(request(items, **more), responses, options)


def sent(items: list[Item], mode: str = "strict", **more: Any) -> list[Item]:
    """What OpenAI gets of a history."""
    return json.loads(filtered(items, mode, **more).body)["input"]


def user(text: str, **more: Any) -> Item:
    return {"role": "user", "content": text} | more


def assistant(text: str, id: str = "") -> Item:
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "role": "assistant", "content": [part]}
    return message | ({"id": id, "status": "completed"} if id else {})


def call(id: str, kind: str = "function_call") -> Item:
    fields = {"name": "weather", "arguments": '{"city":"Rome"}'}
    return {"type": kind, "id": f"fc_{id}", "call_id": id} | fields


def output(id: str, kind: str = "function_call_output") -> Item:
    return {"type": kind, "call_id": id, "output": "sunny"}


def reasoning(id: str) -> Item:
    return {"type": "reasoning", "id": id, "summary": [], "encrypted_content": "gAAA"}


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
START = [user("Hello there."), assistant("Hello! What can I do for you?")]
BREAD = [
    user("How do I bake sourdough bread at home?"),
    assistant("Mix flour, water, salt and sourdough starter, proof it, then bake the bread."),
]
PARIS = [
    user("What is the capital of France?"),
    assistant("The capital of France is Paris, on the river Seine."),
]
FILM = [
    user("Which film by Tarkovsky should I watch first?"),
    assistant("Start with Stalker, a slow and beautiful journey."),
]
QUESTION = user("How long does sourdough bread have to bake?")
ROME = user("What is the weather in Rome, Italy?")
CALLED = [ROME, call("c1"), call("c2"), output("c2"), output("c1"), assistant("Sunny.")]


class TestReading:
    @pytest.mark.parametrize(
        ("item", "role"),
        [
            (user("Hi"), "user"),
            (user("Hi", type="message"), "user"),
            (assistant("Hi"), "assistant"),
            ({"role": "developer", "content": "Be brief."}, "system"),
            ({"role": "system", "content": "Be brief."}, "system"),
            (user("<environment_context>\n<cwd>/x</cwd>\n</environment_context>"), "system"),
            (user("<instructions>Bake it.</instructions>"), "user"),
            (call("c1"), "assistant"),
            (output("c1"), "tool"),
            (reasoning("rs_1"), "assistant"),
            ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "assistant"),
            ({"type": "mcp_list_tools", "id": "m", "server_label": "s", "tools": []}, "system"),
            ({"type": "something_new"}, "assistant"),
            ({"type": "something_new_output", "call_id": "c"}, "tool"),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_tells_who_speaks(self, item: Item, role: str):
        assert read(item)[0].role == role

    def test_takes_the_text_of_every_kind_that_has_some(self):
        parts = [{"type": "input_text", "text": "look"}, {"type": "refusal", "refusal": "no"}]
        items = [
            {"role": "assistant", "content": parts},
            call("c1"),
            {"type": "function_call_output", "call_id": "c1", "output": parts[:1]},
            {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "ls -l"},
            {"type": "web_search_call", "action": {"type": "search", "query": "rye"}},
            {"type": "code_interpreter_call", "code": "print(1)", "outputs": None},
        ]

        assert [message.text for message in read(*items)] == [
            "look\n\nno",
            'weather\n\n{"city":"Rome"}',
            "look",
            "run\n\nls -l",
            '{"type":"search","query":"rye"}',
            "print(1)",
        ]

    def test_takes_messages_for_equal_that_differ_in_ids_and_notes_alone(self):
        plain = {"role": "assistant", "content": "Paris."}

        first, second, third = read(plain, assistant("Paris.", "msg_1"), assistant("Rome.", "m"))

        assert first.digest == second.digest != third.digest
        assert first.is_plain
        assert second.is_plain

    @pytest.mark.parametrize(
        "item",
        [call("c1"), output("c1"), reasoning("rs_1"), user("x", extra=1)],
        ids=lambda item: item.get("type", "extra"),
    )
    def test_takes_nothing_else_for_a_copy(self, item: Item):
        assert not read(item)[0].is_plain

    @pytest.mark.parametrize(
        "item",
        [
            {"role": "user", "content": [{"type": "input_text", "text": "What?"}, IMAGE]},
            {"type": "image_generation_call", "id": "ig_1", "result": "AAAA"},
            {"type": "function_call_output", "call_id": "c", "output": [IMAGE]},
            {
                "type": "computer_call_output",
                "call_id": "c",
                "output": {"type": "computer_screenshot", "image_url": "data:"},
            },
            {"type": "something_new", "call_id": "c"},
            {"role": "critic", "content": "Hm."},
        ],
        ids=lambda item: str(item)[:50],
    )
    def test_keeps_what_can_not_be_read(self, item: Item):
        assert read(item)[0].is_protected


class TestWhatGoes:
    def test_is_a_whole_exchange_and_never_a_joined_one(self):
        first, second = user("Paris?"), user("What is the capital of France?")
        history = [*START, *BREAD, first, second, *PARIS[1:], *FILM, QUESTION]

        stays = sent(history)

        assert all(item in history for item in stays)
        assert PARIS[1] not in stays
        assert stays[:4] == [*START, *BREAD]

    def test_is_a_call_with_its_results_and_what_was_thought_of_it(self):
        thought = [ROME, reasoning("rs_1"), *CALLED[1:5], reasoning("rs_2"), CALLED[5]]

        stays = sent([*START, *thought, *BREAD, *FILM, QUESTION], **CURRENT_TURN)

        assert stays == [*START, *BREAD, *FILM, QUESTION]

    def test_is_a_search_with_its_exchange(self):
        search = {"type": "web_search_call", "id": "ws_1", "action": {"query": "Paris"}}
        searched = [PARIS[0], search, PARIS[1]]

        stays = sent([*START, *BREAD, *searched, *FILM, QUESTION])

        assert stays == [*START, *BREAD, *FILM, QUESTION]

    def test_is_a_copy_under_other_ids(self):
        said, again = assistant(BREAD[1]["content"][0]["text"], "msg_1"), BREAD

        stays = sent([*START, BREAD[0], said, *again, *FILM, QUESTION])

        assert stays == [*START, BREAD[0], said, *FILM, QUESTION]


class TestWhatStays:
    def test_is_what_stands_before_the_first_answer(self):
        context = user("<environment_context><cwd>/x</cwd></environment_context>")
        notes = user("# AGENTS.md instructions for /x")
        begins = [{"role": "developer", "content": "Be brief."}, context, notes, *PARIS]

        stays = sent([*begins, *CALLED, *BREAD, *FILM, QUESTION])

        assert stays == [*begins, *BREAD, *FILM, QUESTION]

    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_is_a_system_message_wherever_it_stands(self, role: str):
        rule = {"role": role, "content": "Answer in French."}

        stays = sent([*START, *BREAD, PARIS[0], rule, PARIS[1], *FILM, QUESTION])

        assert stays == [*START, *BREAD, rule, *FILM, QUESTION]

    @pytest.mark.parametrize("kind", ["mcp_list_tools", "additional_tools", "configuration_update"])
    def test_is_what_defines_later_items_while_its_exchange_goes(self, kind: str):
        definition = {"type": kind, "tools": [{"name": "paris"}]}

        stays = sent([*START, *BREAD, PARIS[0], definition, PARIS[1], *FILM, QUESTION])

        assert stays == [*START, *BREAD, definition, *FILM, QUESTION]

    def test_is_a_kind_that_is_new_with_its_exchange(self):
        history = [*START, PARIS[0], {"type": "teleport", "to": "Paris"}, PARIS[1], *FILM, QUESTION]

        assert sent(history) == history

    def test_is_the_whole_loop_after_the_question(self):
        loop = [QUESTION, *chain(*([call(f"c{n}"), output(f"c{n}")] for n in range(3)))]

        stays = sent([*START, *PARIS, *BREAD, *FILM, *loop])

        assert stays == [*START, *BREAD, *FILM, *loop]

    def test_is_all_up_to_the_last_reasoning(self):
        thought = [BREAD[0], reasoning("rs_1"), BREAD[1]]

        result = filtered([*START, *PARIS, *thought, *CALLED, *FILM, QUESTION])
        unchanged = filtered([*START, *PARIS, *FILM, *thought, QUESTION])

        assert json.loads(result.body)["input"] == [*START, *PARIS, *thought, *FILM, QUESTION]
        assert (unchanged.filtering, unchanged.reason) == ("unchanged", "bound-reasoning")

    def test_is_all_where_the_current_turn_has_reasoning(self):
        """Also where reasoning of earlier turns is not shown: this one's is bound to them."""
        loop = [QUESTION, reasoning("rs_9"), call("c9"), output("c9")]

        result = filtered([*START, *PARIS, *BREAD, *FILM, *loop], **CURRENT_TURN)

        assert (result.filtering, result.reason) == ("unchanged", "bound-reasoning")

    def test_is_all_up_to_the_last_mark_of_the_client(self):
        part = {"type": "input_text", "text": "Which film?", "prompt_cache_breakpoint": {}}
        marked = [{"role": "user", "content": [part]}, FILM[1]]

        result = filtered([*START, *PARIS, *marked, *CALLED, *BREAD, QUESTION])
        unchanged = filtered([*START, *PARIS, *BREAD, *marked, QUESTION])

        assert json.loads(result.body)["input"] == [*START, *PARIS, *marked, *BREAD, QUESTION]
        assert (unchanged.filtering, unchanged.reason) == ("unchanged", "client-marks")

    def test_is_all_between_two_that_bind(self):
        part = {"type": "input_text", "text": "Rye?", "prompt_cache_breakpoint": {}}
        thought = [user("Rye?"), reasoning("rs_1"), assistant("Yes.")]
        marked = [{"role": "user", "content": [part]}, assistant("Yes.")]

        for binding in (thought, marked):
            history = [*START, *binding, *FILM, *CALLED, *PARIS, *binding, QUESTION]
            assert sent(history, "very_strict") == history

    def test_is_the_last_item_with_the_word_json_where_the_format_needs_it(self):
        # So long that leaving it out saves something.
        wanted = [user("Capital of France, as JSON?"), assistant("Paris lies on the Seine. " * 40)]
        history = [*START, *BREAD, *wanted, *FILM, QUESTION]

        stays = sent(history, text={"format": {"type": "json_object"}})

        assert stays == history
        assert sent(history) != history


class TestWriting:
    def test_moves_an_exchange_and_sends_each_item_once(self):
        asked = request([*START, *PARIS, *BREAD, *FILM, QUESTION])
        verdicts = [Verdict(place, "kept", "") for place in range(len(asked.messages))]

        moved = filtering_result.apply_verdicts(
            asked, responses, FilterOptions("strict"), verdicts, 0.0, message_set.of([2, 3])
        )

        assert moved.messages_after == 9
        body = responses.written(asked, [[n] for n in (0, 1, 4, 5, 6, 7, 2, 3, 8)])
        assert body is not None
        assert json.loads(body)["input"] == [*START, *BREAD, *FILM, *PARIS, QUESTION]

    @pytest.mark.parametrize(
        "runs",
        [
            [[0], [2]],
            [[0], [1], [1], [2], [3], [4], [5]],
            [[0], [1], [2], [5]],
            [[0], [1], [2], [4], [5]],
            [[1], [0], [2], [3], [4], [5]],
        ],
        ids=str,
    )
    def test_is_refused_where_it_would_break_a_rule_that_held(self, runs: list[list[int]]):
        thought = [user("Weather?"), reasoning("rs_1"), call("c1"), output("c1")]
        asked = request([*thought, assistant("Sunny."), QUESTION], **CURRENT_TURN)

        assert responses.written(asked, runs) is None


WORDS = ["sourdough", "bread", "oven", "flour", "tcp", "window", "packet", "rome", "capital"]
WORDS += ["france", "paris", "it", "that", "more", "explain", "invoice", "4711", "weather", "yes"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Item]:
    """A turn of a user's and what follows: steps of calls with their results, then an answer."""
    made = [user(draw(TEXTS))]
    thinks = draw(st.booleans())
    for _ in range(draw(st.integers(0, 2))):
        ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=3))
        made += [reasoning(f"rs_{ids[0]}")] if thinks else []
        made += [*map(call, ids), *map(output, draw(st.permutations(ids)))]
    if draw(st.booleans()):
        made.append({"type": "web_search_call", "id": str(draw(st.uuids())), "action": {}})
    if draw(st.integers(0, 4)):
        id = str(draw(st.uuids()))
        made += [reasoning(f"rs_{id}")] if thinks else []
        made.append(assistant(draw(TEXTS), id))
    return made


SOUND = st.lists(exchanges(), min_size=1, max_size=10).map(lambda found: list(chain(*found)))
KINDS = st.sampled_from(
    [user("paris"), assistant("rome"), call("a"), output("a"), reasoning("r"), call("b")]
)
ANY = st.lists(KINDS | TEXTS.map(user) | TEXTS.map(assistant), min_size=1, max_size=20)
CONTEXTS = st.sampled_from([{}, CURRENT_TURN])
many = settings(max_examples=200, deadline=None)


def ids_of(items: list[Item], kind: str) -> set[str]:
    return {item["call_id"] for item in items if item.get("type") == kind}


@many
@given(SOUND | ANY, st.sampled_from(MODES), CONTEXTS)
def test_kept_items_are_a_subsequence_with_their_bytes(items, mode, context):
    all_items = iter(map(json.dumps, items))

    assert all(json.dumps(item) in all_items for item in sent(items, mode, **context))


@many
@given(SOUND | ANY, st.sampled_from(MODES), CONTEXTS)
def test_filtering_the_result_again_changes_nothing(items, mode, context):
    once = sent(items, mode, **context)

    assert sent(once, mode, **context) == once


@many
@given(SOUND, st.sampled_from(MODES), CONTEXTS)
def test_no_call_and_no_result_is_left_alone(items, mode, context):
    stays = sent(items, mode, **context)

    assert ids_of(stays, "function_call") == ids_of(stays, "function_call_output")


@many
@given(SOUND | ANY, st.sampled_from(MODES), CONTEXTS)
def test_reasoning_stands_before_what_it_led_to(items, mode, context):
    stays = sent(items, mode, **context)

    def pairs(of: list[Item]) -> list[tuple[str, str]]:
        return [
            (json.dumps(item), json.dumps(of[place + 1]))
            for place, item in enumerate(of[:-1])
            if item.get("type") == "reasoning" and of[place + 1].get("role") != "user"
        ]

    before = pairs(items)
    assert all(pair in before for pair in pairs(stays))


@many
@given(SOUND | ANY, st.sampled_from(MODES))
def test_nothing_before_reasoning_goes(items, mode):
    last = max((n for n, item in enumerate(items) if item.get("type") == "reasoning"), default=-1)

    assert sent(items, mode)[: last + 1] == items[: last + 1]


@many
@given(SOUND | ANY, st.sampled_from(MODES), CONTEXTS)
def test_the_beginning_and_the_current_turn_stay(items, mode, context):
    stays = sent(items, mode, **context)

    users = [place for place, item in enumerate(items) if item.get("role") == "user"]
    now = items[users[-1] if users else 0 :]
    assert stays[-len(now) :] == now
    answers = (n for n, item in enumerate(items) if item.get("role") != "user")
    begins = next(answers, len(items))
    assert stays[:begins] == items[:begins]


@many
@given(SOUND | ANY)
def test_off_changes_no_byte(items):
    assert filtered(items, "off").body == request(items).body
