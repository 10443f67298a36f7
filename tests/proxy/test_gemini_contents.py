"""Gemini's contents in the filter: what is read of each, and what holds for any history."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import InvalidMessages
from proxy.filtering import result as filtering_result
from proxy.filtering.result import FilterOptions
from proxy.relevance.messages import Message
from proxy.wire import gemini
from proxy.wire.dialect import Request, Route
from proxy.wire.gemini.contents import broken_rules

ROUTE = Route("https://x", "/v1beta/models/m:generateContent", "generateContent", model="m")
MODES = ("very_strict", "strict", "lax")


def request(contents: list[Any], **more: Any) -> Request:
    body = json.dumps({"contents": contents} | more).encode()
    return gemini.read(body, ROUTE, most_messages=2000)


def read(*contents: dict[str, Any]) -> list[Message]:
    return request(list(contents)).messages


def sent(contents: list[Any], mode: str = "very_strict") -> list[Any]:
    """What Gemini gets of a history."""
    return json.loads(
        filtering_result.filtered(request(contents), gemini, FilterOptions(mode, seconds=60)).body
    )["contents"]


def text(role: str, said: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": said}]}


def call(*names: str, key: str = "functionCall", **more: Any) -> dict[str, Any]:
    return {"role": "model", "parts": [{key: {"name": name, "args": {}} | more} for name in names]}


def results(*names: str, key: str = "functionResponse", role: str = "user", **more: Any) -> Any:
    parts = [{key: {"name": name, "response": {"is": "so"}} | more} for name in names]
    return {"role": role, "parts": parts}


IMAGE = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
PAST = [
    text("user", "How do I bake sourdough bread at home?"),
    text("model", "Mix flour, water, salt and sourdough starter, proof it, then bake the bread."),
    text("user", "What is the capital of France?"),
    text("model", "The capital of France is Paris, on the river Seine."),
    text("user", "Which film by Tarkovsky should I watch first?"),
    text("model", "Start with Stalker, a slow and beautiful journey."),
]
QUESTION = text("user", "How long does sourdough bread have to bake?")


class TestReading:
    @pytest.mark.parametrize(
        ("content", "role"),
        [
            (text("user", "Hi"), "user"),
            (text("model", "Hi"), "assistant"),
            ({"parts": [{"text": "Hi"}]}, "user"),
            ({"role": None, "parts": {"text": "Hi"}}, "user"),
            (results("f"), "tool"),
            (results("f", key="function_response"), "tool"),
            (results("f", role="function"), "tool"),
            ({"role": "user", "parts": [*results("f")["parts"], {"text": "And?"}]}, "user"),
            ({"role": "user", "parts": [*results("f")["parts"], IMAGE]}, "user"),
        ],
        ids=lambda value: repr(value)[:60],
    )
    def test_tells_a_result_from_a_user(self, content, role: str):
        assert read(content)[0].role == role

    @pytest.mark.parametrize("role", ["robot", {}, [], 0, False])
    def test_refuses_a_role_that_is_none(self, role: Any):
        with pytest.raises(InvalidMessages, match="role"):
            read({"role": role, "parts": [{"text": "Hi"}]})

    def test_takes_text_from_every_part_that_has_some(self):
        parts = [
            {"text": "look"},
            {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
            {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
        ]

        (message,) = read({"role": "model", "parts": parts})

        assert message.text == 'look\n\nprint(1)\n\n1\n\nweather {"city":"Rome"}'

    @pytest.mark.parametrize(
        "part",
        [
            IMAGE,
            {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
            {"fileData": {"fileUri": "https://x/1"}},
            {"file_data": {"file_uri": "https://x/1"}, "videoMetadata": {"fps": 1}},
            {"somethingNew": {}},
            {"functionResponse": {"name": "f", "response": {}, "parts": [IMAGE]}},
        ],
    )
    def test_keeps_what_is_no_text(self, part: dict[str, Any]):
        picture = [{"role": "user", "parts": [part]}, text("model", "A quiet harbour.")]

        assert sent([*picture, *PAST, QUESTION])[:2] == picture

    @pytest.mark.parametrize(
        "part",
        [
            {"text": "a", "thoughtSignature": "c2ln"},
            {"text": "a", "thought_signature": "c2ln"},
            {"text": "a", "thought": True},
            {"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"},
            IMAGE,
        ],
    )
    def test_joins_nothing_but_text(self, part: dict[str, Any]):
        assert not read({"role": "model", "parts": [{"text": "x"}, part]})[0].is_plain
        assert read({"role": "model", "parts": [{"text": "x"}, {"text": ""}]})[0].is_plain


class TestTies:
    def test_go_by_name_and_order_where_there_is_no_id(self):
        calls, answers = read(call("a", "b", "a"), results("a", "a", "b"))

        first, second, third = calls.calls
        assert answers.answers == (first, third, second)

    def test_go_by_id_where_there_is_one(self):
        both = {
            "role": "model",
            "parts": [{"functionCall": {"name": "a", "id": id}} for id in ("1", "2")],
        }

        calls, *answers = read(both, results("a", id="2"), results("a", id="1"))

        assert [each.answers[0] for each in answers] == list(reversed(calls.calls))

    def test_prefer_the_latest_turn(self):
        first, _, second, answer = read(call("a"), results("a"), call("a"), results("a"))

        assert answer.answers == second.calls != first.calls

    def test_go_by_place_where_the_name_is_unknown(self):
        calls, answer = read(call("a"), results("renamed"))

        assert answer.answers == calls.calls

    def test_leave_an_orphan_alone(self):
        assert read(results("a"))[0].answers == ()

    def test_keep_a_call_with_its_late_results(self):
        late = [
            text("user", "What is the weather in Paris, France?"),
            call("weather"),
            text("user", "Never mind. Which films are on in Paris?"),
            results("weather"),
            text("model", "Rain, and Solaris."),
        ]

        for mode in MODES:
            stays = sent([*late, *PAST, QUESTION], mode)
            assert sum(content in stays for content in late) in (0, len(late))


class TestTheResult:
    def test_drops_a_call_and_all_its_results_with_their_exchange(self):
        away = [
            text("user", "What is the weather in Rome and Oslo?"),
            call("weather", "weather"),
            results("weather", "weather"),
            text("model", "Sunny in Rome, snow in Oslo."),
        ]

        stays = sent([*away, *PAST, QUESTION])

        assert stays == [*PAST[:2], *PAST[4:], QUESTION]

    def test_keeps_all_from_the_last_real_user_on(self):
        now = [
            QUESTION,
            {"role": "model", "parts": [{"functionCall": {"name": "a"}, "thoughtSignature": "s"}]},
            results("a"),
            call("b"),
            results("b"),
        ]

        assert sent([*PAST, *now])[-5:] == now

    def test_joins_the_parts_of_neighbours_as_they_came(self):
        said = {"parts": [{"text": "Sourdough"}, {"text": "please"}]}
        asked = request([said, text("user", "Or rye?"), text("model", "Both."), QUESTION])

        body = gemini.written(asked, [[0, 1], [2], [3]])

        assert body is not None
        assert json.loads(body)["contents"] == [
            {
                "role": "user",
                "parts": [{"text": "Sourdough"}, {"text": "please"}, {"text": "Or rye?"}],
            },
            text("model", "Both."),
            QUESTION,
        ]

    def test_is_the_original_where_a_rule_of_turns_would_break(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        asked = request([*PAST, QUESTION])

        assert gemini.written(asked, [[1], [6]]) is None
        monkeypatch.setattr("proxy.relevance.filter.indices_to_send", lambda verdicts: [1, 6])
        result = filtering_result.filtered(asked, gemini, FilterOptions("strict"))
        assert (result.body, result.filtering) == (asked.body, "unchanged")


class TestRules:
    @pytest.mark.parametrize(
        ("contents", "broken"),
        [
            ([QUESTION, call("a"), results("a"), text("model", "x")], set()),
            ([QUESTION, call("a"), results("a"), call("b"), results("b")], set()),
            ([text("model", "x"), QUESTION], {"begins with the user"}),
            (
                [QUESTION, text("model", "x"), call("a"), results("a")],
                {"calls follow the user or a result"},
            ),
            ([QUESTION, results("a")], {"results follow their calls"}),
            (
                [QUESTION, call("a"), QUESTION],
                {"calls are answered at once", "calls and results are complete"},
            ),
            ([QUESTION, call("a", "b"), results("a")], {"calls and results are complete"}),
        ],
    )
    def test_are_known(self, contents, broken: set[str]):
        assert broken_rules(read(*contents)) == broken


WORDS = ["sourdough", "bread", "oven", "flour", "tcp", "window", "packet", "rome", "capital"]
WORDS += ["france", "paris", "it", "that", "more", "explain", "invoice", "parse_config", "4711"]
WORDS += ["4712", "weather", "yes", "no", "next", "the", "of"]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
TEXTS = st.lists(
    st.builds(lambda said: {"text": said}, SENTENCES)
    | st.builds(lambda said: {"text": said, "thoughtSignature": "c2ln"}, SENTENCES)
    | st.just(IMAGE),
    min_size=1,
    max_size=2,
)
NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3)
SPELLINGS = st.sampled_from(
    [("functionCall", "functionResponse"), ("function_call", "function_response")]
)


@st.composite
def exchanges(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A turn of a user's and what follows: steps of calls with their results, then an answer."""
    made: list[dict[str, Any]] = [{"role": "user", "parts": draw(TEXTS)}]
    if draw(st.booleans()):
        del made[0]["role"]
    for _ in range(draw(st.integers(0, 2))):
        names, (asks, answers) = draw(NAMES), draw(SPELLINGS)
        given_back = draw(st.permutations(names))
        made += [call(*names, key=asks), results(*given_back, key=answers)]
    if draw(st.integers(0, 4)):
        made.append({"role": "model", "parts": draw(TEXTS)})
    return made


SOUND = st.lists(exchanges(), min_size=1, max_size=12).map(lambda found: list(chain(*found)))
ROLES = st.sampled_from(["user", "model", "function"])
ANY = st.lists(
    st.fixed_dictionaries({"role": ROLES, "parts": TEXTS})
    | NAMES.map(lambda names: call(*names))
    | NAMES.map(lambda names: results(*names)),
    min_size=1,
    max_size=20,
)
many = settings(max_examples=200, deadline=None)


@many
@given(SOUND, st.sampled_from(MODES))
def test_a_sound_history_stays_sound(contents, mode):
    assert not broken_rules(read(*contents)) - {"calls and results are complete"}

    stays = sent(contents, mode)

    assert broken_rules(read(*stays)) <= broken_rules(read(*contents))


@many
@given(SOUND | ANY, st.sampled_from(MODES))
def test_kept_parts_are_a_subsequence_with_their_bytes(contents, mode):
    stays = sent(contents, mode)

    parts = iter([json.dumps(part) for content in contents for part in content["parts"]])
    assert all(json.dumps(part) in parts for content in stays for part in content["parts"])


@many
@given(SOUND | ANY, st.sampled_from(MODES))
def test_filtering_the_result_again_changes_nothing(contents, mode):
    once = sent(contents, mode)

    assert sent(once, mode) == once


@many
@given(SOUND | ANY, st.sampled_from(MODES))
def test_no_call_and_no_result_is_left_alone(contents, mode):
    stays = read(*sent(contents, mode))

    broken = broken_rules(stays) - broken_rules(read(*contents))
    assert not broken


@many
@given(SOUND | ANY, st.sampled_from(MODES))
def test_the_current_turn_and_all_media_stay(contents, mode):
    stays = sent(contents, mode)

    users = [place for place, each in enumerate(read(*contents)) if each.role == "user"]
    now = contents[users[-1] if users else 0 :]
    assert stays[-len(now) :] == now
    assert str(stays).count("inlineData") == str(contents).count("inlineData")


@many
@given(SOUND | ANY)
def test_off_changes_no_byte(contents):
    asked = request(contents)

    assert filtering_result.filtered(asked, gemini, FilterOptions("off")).body is asked.body
