"""Anthropic's messages in the filter: what is read of each, and what must stay."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.common.errors import InvalidRequest
from proxy.errors import InvalidMessages
from proxy.filtering import result as filtering_result
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.relevance.exchanges import split_exchanges
from proxy.relevance.messages import Message
from proxy.wire import anthropic
from proxy.wire.anthropic.conversation import broken_rules
from proxy.wire.anthropic.turns import Turn, turn_of
from proxy.wire.dialect import Request, Route
from tests.proxy.conftest import HISTORY

ROUTE = Route("https://x", "/v1/messages", "messages", is_filtered=True)
MODES = ("very_strict", "strict", "lax")
Content = dict[str, Any]
PAST, QUESTION = HISTORY[:6], HISTORY[6]
WHAT_STAYS = [*PAST[:2], *PAST[4:], QUESTION]
"""What is sent of PAST and QUESTION, where nothing binds it."""


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def request(messages: list[Any], **more: Any) -> Request:
    body = encoded({"model": "m", "max_tokens": 9, "messages": messages} | more)
    return anthropic.read(body, ROUTE, most_messages=2000)


def read(*messages: Content) -> list[Message]:
    return request(list(messages)).messages


def turns(messages: list[Content]) -> list[Turn]:
    return [turn_of(encoded(each), place) for place, each in enumerate(messages)]


def filtered(messages: list[Any], mode: str = "very_strict", **more: Any) -> FilterResult:
    return filtering_result.filtered(
        request(messages, **more), anthropic, FilterOptions(mode, seconds=60)
    )


def sent(messages: list[Any], mode: str = "very_strict", **more: Any) -> list[Any]:
    """What Anthropic gets of a history."""
    return json.loads(filtered(messages, mode, **more).body)["messages"]


def user(*blocks: Any) -> Content:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> Content:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str, **more: Any) -> Content:
    return {"type": "text", "text": words} | more


def call(id: str, kind: str = "tool_use", name: str = "weather", **more: Any) -> Content:
    return {"type": kind, "id": id, "name": name, "input": {"city": "Rome"}} | more


def result(id: str, content: Any = "sunny", kind: str = "tool_result", **more: Any) -> Content:
    return {"type": kind, "tool_use_id": id, "content": content} | more


def system(words: str) -> Content:
    return {"role": "system", "content": words}


MARK = {"cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "AAAA"}
REMINDER = text("<system-reminder>\nYour list of tasks is empty.\n</system-reminder>")


class TestReading:
    @pytest.mark.parametrize("content", [5, None, {}, ["a"], [{"text": "a"}], [{"type": 1}]])
    def test_refuses_a_content_that_is_none(self, content: Any):
        with pytest.raises(InvalidMessages, match=r"messages\[0\]\.content"):
            read({"role": "user", "content": content})

    @pytest.mark.parametrize("depth", [100, 400, 450, 480, 5000])
    def test_refuses_what_is_nested_too_deeply_or_reads_it(self, depth: int):
        block = '{"type":"x","content":[' * depth + "]}" * depth
        body = f'{{"model":"m","messages":[{{"role":"user","content":[{block}]}}]}}'.encode()

        with suppress(InvalidRequest):
            assert anthropic.read(body, ROUTE, most_messages=9).messages[0].is_protected

    @pytest.mark.parametrize("role", ["tool", "developer", None, {}, []])
    def test_refuses_a_role_that_is_none(self, role: Any):
        with pytest.raises(InvalidMessages, match=r"messages\[0\]\.role"):
            read({"role": role, "content": "Hi"})

    @pytest.mark.parametrize(
        ("message", "role"),
        [
            ({"role": "user", "content": "Hi"}, "user"),
            (assistant(text("Hi")), "assistant"),
            (system("Hi"), "system"),
            (user(result("1")), "tool"),
            (user(result("1"), REMINDER), "tool"),
            (user(result("1"), text("And?")), "user"),
            (user(result("1"), IMAGE), "user"),
            (user(REMINDER), "user"),
        ],
        ids=repr,
    )
    def test_tells_results_from_a_user(self, message: Content, role: str):
        assert read(message)[0].role == role

    @pytest.mark.parametrize(
        ("block", "words"),
        [
            (call("1"), 'weather {"city":"Rome"}'),
            (result("1"), "sunny"),
            (result("1", [text("sunny"), text("warm")]), "sunny\nwarm"),
            (result("1", None), ""),
            (THINKING, ""),
            ({"type": "document", "title": "T", "source": {"type": "text", "data": "D"}}, "T\nD"),
            (IMAGE, ""),
            (
                result(
                    "1", [{"type": "web_search_result", "title": "T"}], "web_search_tool_result"
                ),
                "T",
            ),
        ],
        ids=repr,
    )
    def test_takes_text_from_whatever_has_some(self, block: Content, words: str):
        assert read(user(text("Look:"), block))[0].text.removeprefix("Look:").strip() == words

    def test_asks_what_the_last_text_of_the_user_asks(self):
        asked = user(REMINDER, text("A pasted log"), text("Why does it fail?"), REMINDER)

        (message,) = read(asked)

        assert message.as_question().text == "Why does it fail?"
        assert "A pasted log" in message.text
        assert message.as_question().digest != message.digest

    def test_asks_what_stands_beside_a_reminder_in_one_text(self):
        (message,) = read({"role": "user", "content": f"{REMINDER['text']}\nWhy?"})

        assert message.as_question().text == "Why?"

    def test_judges_by_the_question_and_not_by_what_stands_around_it(self):
        noise = text("<system-reminder>France, Paris, capital, Seine.</system-reminder>")
        asked = user(noise, text(QUESTION["content"]), noise)

        assert sent([*PAST, asked]) == [*WHAT_STAYS[:-1], asked]


class TestIdentity:
    @pytest.mark.parametrize(
        "again",
        [
            user(text("Hi")),
            user(text("Hi", **MARK)),
            user(text("Hi", citations=None)),
            {"content": "Hi", "role": "user"},
        ],
        ids=repr,
    )
    def test_is_that_of_the_words_in_any_form(self, again: Content):
        first, second = request([{"role": "user", "content": "Hi"}]), request([again])

        assert first.identities == second.identities
        assert first.messages[0].digest == second.messages[0].digest

    def test_does_not_see_marks_within_results(self):
        plain, marked = (request([user(result("1", [text("a", **more)]))]) for more in ({}, MARK))

        assert plain.identities == marked.identities

    @pytest.mark.parametrize(
        "other",
        [
            {"role": "assistant", "content": "Hi"},
            user(text("Hi"), text("")),
            user(text("Hi", citations=[{}])),
            user(call("1", input={"cache_control": 1})),
        ],
        ids=repr,
    )
    def test_differs_with_everything_else(self, other: Content):
        assert request([other]).identities != request([user(text("Hi"))]).identities

    def test_of_tools_and_instructions_ignores_marks_and_the_billing_block(self):
        fronts = {
            request(
                [QUESTION],
                system=[text(f"x-anthropic-billing-header: cch={n};"), text("Be brief", **more)],
                tools=[{"name": "weather", "input_schema": {}} | more],
            ).front
            for n, more in enumerate(({}, MARK))
        }

        assert len(fronts) == 1
        assert b"Be brief" in fronts.pop()

    def test_finds_a_repeated_question_in_another_form(self):
        again = [{**said, "content": [text(said["content"])]} for said in PAST[2:4]]

        told = filtered([*PAST[2:4], *PAST[:2], *again, *PAST[4:], QUESTION], "lax").verdicts or []

        assert [verdict.reason for verdict in told[4:6]] == ["duplicate of 0", "duplicate of 1"]


class TestWhatStays:
    def test_is_what_the_question_needs_where_nothing_binds(self):
        assert sent([*PAST, QUESTION]) == WHAT_STAYS

    @pytest.mark.parametrize(
        "block",
        [
            IMAGE,
            {"type": "document", "source": {"type": "text", "data": "Paris"}},
            {"type": "container_upload", "file_id": "file_1"},
            {"type": "search_result", "title": "Paris", "content": [text("Paris")]},
            {"type": "something_new"},
            call("1", "mcp_tool_use"),
            call("1", "server_tool_use", "code_execution"),
            call("1", caller={"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}),
        ],
        ids=lambda block: block["type"],
    )
    def test_holds_an_exchange_with_what_is_not_understood(self, block: Content):
        opaque = [user(text("What is the capital of France?"), block), PAST[3]]

        assert sent([*PAST[:2], *opaque, *PAST[4:], QUESTION])[2:4] == opaque

    def test_is_not_hung_on_by_a_call_that_the_model_made_itself(self):
        loop = [
            PAST[2],
            assistant(call("1", caller={"type": "direct"})),
            user(result("1", [text("Paris")])),
            PAST[3],
        ]

        assert sent([*PAST[:2], *loop, *PAST[4:], QUESTION]) == WHAT_STAYS

    @pytest.mark.parametrize("block", [THINKING, REDACTED])
    @pytest.mark.parametrize("place", [1, 3, 5])
    def test_is_all_before_reasoning_which_is_signed_for_it(self, block: Content, place: int):
        messages = [*PAST, QUESTION]
        messages[place] = assistant(block, text(PAST[place]["content"]))

        stays = sent(messages)

        assert stays[: place + 1] == messages[: place + 1]
        assert filtered([*messages[: place + 1], QUESTION]).reason == "bound-reasoning"

    def test_may_be_less_after_the_last_reasoning(self):
        thought = [user(text("Rye?")), assistant(THINKING, text("Yes."))]

        assert sent([*thought, *PAST, QUESTION]) == [*thought, *WHAT_STAYS]

    def test_is_all_between_two_that_bind(self):
        thought = assistant(THINKING, text("Yes."))
        marked = assistant(text("Yes.", **MARK))

        for binding in (thought, marked):
            messages = [user(text("Rye?")), binding, *PAST, user(text("Spelt?")), binding, QUESTION]
            assert sent(messages) == messages

    @pytest.mark.parametrize("place", [1, 3, 5, 6])
    def test_is_all_up_to_the_last_mark(self, place: int):
        messages = [*PAST, QUESTION]
        marked = [text(messages[place]["content"], **MARK)]
        messages[place] = {"role": messages[place]["role"], "content": marked}

        assert sent(messages)[: place + 1] == messages[: place + 1]

    def test_is_all_up_to_a_mark_within_a_result(self):
        loop = [PAST[2], assistant(call("1")), user(result("1", [text("a", **MARK)])), PAST[3]]
        messages = [*PAST[:2], *loop, *PAST[4:], QUESTION]

        assert sent(messages) == messages

    def test_is_everything_where_the_newest_message_is_marked(self):
        asked = filtered([*PAST, user(text(QUESTION["content"], **MARK))])

        assert asked.body is asked.request.body
        assert "result=unchanged" in asked.header
        assert asked.header.endswith("reason=client-marks")

    def test_is_everything_where_the_request_is_marked(self):
        asked = filtered([*PAST, QUESTION], **MARK)

        assert (asked.body, asked.reason) == (asked.request.body, "client-marks")

    def test_is_not_changed_by_marks_before_the_messages(self):
        before = {"system": [text("Be brief", **MARK)], "tools": [{"name": "t"} | MARK]}

        assert sent([*PAST, QUESTION], **before) == WHAT_STAYS

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"thread": {"create": {}}}, "stateful"),
            ({"container": "container_1"}, "stateful"),
            ({"context_management": {"edits": []}}, "context-management"),
        ],
        ids=repr,
    )
    def test_is_everything_where_the_provider_holds_or_leaves_out(self, fields, reason: str):
        asked = filtered([*PAST, QUESTION], **fields)

        assert (asked.body, asked.filtering) == (asked.request.body, "unchanged")
        assert asked.header.endswith(f"reason={reason}")

    def test_is_everything_around_a_compaction(self):
        compacted = assistant({"type": "compaction", "content": "Bread."}, text("Well."))
        asked = filtered([*PAST, user(text("So?")), compacted, QUESTION])

        assert (asked.body, asked.reason) == (asked.request.body, "context-management")

    def test_is_a_system_message_with_the_turns_that_it_stands_between(self):
        around = [
            user(text("Who painted the Night Watch?")),
            system("Be brief."),
            assistant(text("Rembrandt painted it in Amsterdam.")),
        ]

        stays = sent([*PAST[:2], *around, *PAST[2:], QUESTION])

        assert stays == [*PAST[:2], *around, *PAST[4:], QUESTION]

    def test_is_a_system_message_after_results(self):
        loop = [PAST[2], assistant(call("1")), user(result("1")), system("Now."), PAST[3]]
        messages = [*PAST[:2], *loop, *PAST[4:], QUESTION]

        assert sent(messages) == messages

    def test_is_a_prefill_with_its_question(self):
        prefill = {"role": "assistant", "content": "It bakes for"}

        assert sent([*PAST, QUESTION, prefill]) == [*WHAT_STAYS, prefill]

    def test_is_all_of_a_loop_of_tools_from_its_question_on(self):
        loop = [assistant(THINKING, call("1")), user(result("1"), REMINDER)] * 3
        messages = [*PAST, QUESTION, *loop]

        assert sent(messages) == messages


class TestTies:
    def test_hold_results_to_their_calls_where_the_user_goes_on_beside_them(self):
        late = [
            PAST[2],
            assistant(call("1"), call("2")),
            user(result("1"), result("2"), text("Never mind. Which rivers are there?")),
            {"role": "assistant", "content": "The Seine."},
        ]

        for mode in MODES:
            stays = sent([*PAST[:2], *late, *PAST[4:], QUESTION], mode)
            assert sum(message in stays for message in late) in (0, len(late))

    def test_hold_a_servers_call_to_a_result_in_a_later_turn(self):
        searched = result("srvtoolu_1", [], "web_search_tool_result")
        early = [
            PAST[2],
            assistant(call("srvtoolu_1", "server_tool_use", "web_search"), call("1")),
            user(result("1"), text("And which rivers?")),
            assistant(searched, text("The Seine.")),
        ]

        first, *_ = split_exchanges(read(*early, QUESTION)).exchanges

        assert first == (0, 1, 2, 3)

    def test_hold_messages_of_one_turn_together(self):
        log, asked = user(text("Sourdough")), user(text("Why?"))

        conversation = split_exchanges(read(*PAST[:2], log, asked))

        assert conversation.exchanges == ((0, 1),)
        assert (conversation.query, conversation.current) == (3, {2, 3})

    def test_leave_a_reminder_with_the_question_before_it(self):
        conversation = split_exchanges(read(*PAST[:2], QUESTION, user(REMINDER)))

        assert (conversation.query, conversation.current) == (2, {2, 3})

    def test_join_nothing(self):
        log, asked = user(text("What is the")), user(text("capital of France?"))
        messages = [log, asked, PAST[3], PAST[0], PAST[0], *PAST[1:], QUESTION]

        assert all(message in messages for message in sent(messages))


class TestWriting:
    @pytest.mark.parametrize(
        "places", [[1, 2, 6], [0, 1, 4, 5, 6, 3], [3, 2, 6]], ids=["assistant", "order", "reversed"]
    )
    def test_is_refused_where_what_is_bound_would_change(self, places: list[int]):
        asked = request([*PAST[:5], assistant(THINKING, text("Stalker.")), QUESTION])

        assert anthropic.written(asked, [[place] for place in places]) is None

    def test_is_refused_where_a_rule_of_turns_would_break(self, monkeypatch: pytest.MonkeyPatch):
        asked = request([*PAST, QUESTION])

        assert anthropic.written(asked, [[1], [6]]) is None
        monkeypatch.setattr("proxy.relevance.filter.indices_to_send", lambda verdicts: [1, 6])
        told = filtering_result.filtered(asked, anthropic, FilterOptions("strict"))
        assert (told.body, told.filtering) == (asked.body, "unchanged")


class TestRules:
    @pytest.mark.parametrize(
        ("messages", "broken"),
        [
            ([QUESTION, assistant(call("1")), user(result("1")), PAST[1]], set()),
            (
                [QUESTION, assistant(call("1"), call("2")), user(result("1")), user(result("2"))],
                set(),
            ),
            ([PAST[1], QUESTION], {"begins with the user"}),
            (
                [system("x"), QUESTION],
                {
                    "begins with the user",
                    "a system message follows the user",
                    "the assistant follows a system message",
                },
            ),
            ([QUESTION, user(result("1"))], {"results follow their calls"}),
            ([QUESTION, assistant(call("1")), QUESTION], {"calls are answered at once"}),
            (
                [QUESTION, assistant(call("1")), PAST[0], PAST[1], user(result("1"))],
                {"calls are answered at once", "results follow their calls"},
            ),
            ([QUESTION, system("x"), PAST[1]], set()),
            ([QUESTION, system("x")], set()),
            ([QUESTION, PAST[1], system("x")], {"a system message follows the user"}),
            (
                [QUESTION, assistant(call("s", "server_tool_use", "web_search"))],
                {"server calls have their results"},
            ),
            (
                [QUESTION, assistant(result("s", [], "web_search_tool_result"))],
                {"server results follow their calls"},
            ),
        ],
    )
    def test_are_known(self, messages: list[Content], broken: set[str]):
        assert {rule for rule, _ in broken_rules(turns(messages))} == broken


WORDS = ["sourdough", "bread", "oven", "flour", "tcp", "window", "packet", "rome", "capital"]
WORDS += ["france", "paris", "it", "that", "more", "explain", "invoice", "parse_config", "4711"]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
PLAIN = SENTENCES.map(text)
RARELY = st.integers(0, 19).map(lambda number: number == 0)


@st.composite
def contents(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        return draw(SENTENCES)
    blocks = draw(st.lists(PLAIN | st.just(REMINDER), min_size=1, max_size=2))
    if draw(RARELY):
        blocks.append(draw(st.sampled_from([IMAGE, text("a", **MARK), {"type": "new"}])))
    return blocks


@st.composite
def exchanges(draw: st.DrawFn) -> list[Content]:
    """A turn of a user's and what follows: steps of calls with their results, then an answer."""
    made: list[Content] = [{"role": "user", "content": draw(contents())}]
    for _ in range(draw(st.integers(0, 2))):
        ids = [f"toolu_{draw(st.integers(0, 10**9))}" for _ in range(draw(st.integers(1, 2)))]
        begun = [THINKING] if draw(RARELY) else []
        made.append(assistant(*begun, *map(call, ids)))
        made.append(user(*map(result, ids), *draw(st.lists(PLAIN, max_size=1))))
    if draw(RARELY):
        made.append(system("From now on be brief."))
    begun = [THINKING] if draw(RARELY) else []
    made.append(assistant(*begun, *draw(st.lists(PLAIN, min_size=1, max_size=2))))
    return made


@st.composite
def sound(draw: st.DrawFn) -> list[Content]:
    past = draw(st.lists(exchanges(), min_size=1, max_size=10))
    return [*chain(*past), {"role": "user", "content": draw(contents())}]


ANY = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": contents()})
    | st.sampled_from([assistant(call("1")), user(result("1")), system("x")]),
    min_size=1,
    max_size=16,
)
many = settings(max_examples=200, deadline=None)


@many
@given(sound(), st.sampled_from(MODES))
def test_a_sound_history_stays_sound(messages, mode):
    assert not broken_rules(turns(messages))

    assert not broken_rules(turns(sent(messages, mode)))


@many
@given(sound() | ANY, st.sampled_from(MODES))
def test_what_stays_is_a_subsequence_with_its_bytes(messages, mode):
    asked = filtered(messages, mode)

    stays = [encoded(each) for each in json.loads(asked.body)["messages"]]
    came = iter([encoded(each) for each in messages])
    assert all(each in came for each in stays)
    assert all(each in asked.body for each in stays)


@many
@given(sound() | ANY, st.sampled_from(MODES))
def test_filtering_the_result_again_changes_nothing(messages, mode):
    once = sent(messages, mode)

    assert sent(once, mode) == once


@many
@given(sound() | ANY, st.sampled_from(MODES))
def test_no_rule_that_held_is_broken(messages, mode):
    assert broken_rules(turns(sent(messages, mode))) <= broken_rules(turns(messages))


@many
@given(sound() | ANY, st.sampled_from(MODES))
def test_the_current_turn_and_all_that_is_bound_stay(messages, mode):
    stays = sent(messages, mode)

    query = split_exchanges(read(*messages)).query or 0
    assert stays[-len(messages[query:]) :] == messages[query:]
    ends = [n for n, turn in enumerate(turns(messages), 1) if turn.is_bound or turn.is_marked]
    bound = ends[-1] if ends else 0
    assert stays[:bound] == messages[:bound]
    assert str(stays).count("base64") == str(messages).count("base64")
    assert sum(m["role"] == "system" for m in stays) == sum(m["role"] == "system" for m in messages)


@many
@given(sound() | ANY)
def test_off_changes_no_byte(messages):
    asked = request(messages)

    assert filtering_result.filtered(asked, anthropic, FilterOptions("off")).body is asked.body
