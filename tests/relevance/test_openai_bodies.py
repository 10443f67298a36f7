"""What holds for any request in OpenAI's format: tried on generated bodies, as bytes."""

from __future__ import annotations

import json
from itertools import chain, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.filtering import result as filtering_result
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.relevance.merge_turns import BETWEEN
from proxy.relevance.modes import LAST_MAY_GO, NAMES, OFF
from proxy.wire import openai, token_count
from proxy.wire.dialect import Request, Route

ROUTE = Route("https://x", "/chat/completions", "chat/completions", is_filtered=True)
MODES = NAMES[:-1]
FIELDS = (
    '"model": "m", "seed": 12345678901234567890, "temperature": 0.10, "metadata": {"é": "\\u00e9"}'
)

TOPICS = (
    "sourdough bread oven flour starter proof 4711",
    "tcp window packet congestion retryBackoffMs parse_config 4712",
    "rome capital france paris river куда 巧克力",
    "it that more explain yes no the next",
)
SENTENCES = st.sampled_from(TOPICS).flatmap(
    lambda topic: st.lists(st.sampled_from(topic.split()), max_size=8).map(" ".join)
)
SAID = SENTENCES.map(lambda said: said or "Why?")
RULE = st.just({"role": "user", "content": "From now on always answer in rhymes."})
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
MARK = {"cache_control": {"type": "ephemeral"}}
TEXT = SAID.map(lambda said: {"type": "text", "text": said})
PART = st.one_of([TEXT] * 6 + [TEXT.map(lambda part: part | MARK), st.just(IMAGE)])
PARTS = st.lists(PART, min_size=1, max_size=2)
# The same id in several exchanges means the latest call, as in agents that count from one.
IDS = st.lists(st.sampled_from(["c1", "c2", "c3"]), min_size=1, max_size=3, unique=True)


def calling(ids: list[str], said: str | None) -> dict[str, Any]:
    calls = [
        {"id": id, "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0}'}}
        for id in ids
    ]
    return {"role": "assistant", "content": said, "tool_calls": calls}


def result(id: str, said: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": said}


PLAIN = SENTENCES.map(lambda said: {"role": "user", "content": said})
USERS = st.one_of(
    PLAIN,
    PLAIN,
    PARTS.map(lambda parts: {"role": "user", "content": parts}),
    SAID.map(lambda said: {"role": "user", "content": said, "name": "Ann"}),
)
ANSWERS = st.builds(
    lambda said: {"role": "assistant", "content": said}, SENTENCES | st.none()
) | st.builds(lambda said: {"role": "assistant", "content": said, "refusal": None}, SAID)
INSTRUCTIONS = st.builds(
    lambda role, said: {"role": role, "content": said},
    st.sampled_from(["system", "developer"]),
    SAID,
)


@st.composite
def exchanges(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A user's message and what follows: steps of calls with their results, then an answer."""
    made = [draw(INSTRUCTIONS)] if draw(st.integers(0, 5)) == 0 else []
    made.append(draw(st.one_of([USERS] * 15 + [RULE])))
    for _ in range(draw(st.integers(-3, 2))):
        ids = draw(IDS)
        made.append(calling(ids, draw(st.none() | SAID)))
        made += [result(id, draw(SENTENCES)) for id in draw(st.permutations(ids))]
    if draw(st.integers(0, 2)):
        made.append(draw(ANSWERS))
    return made


SOUND = st.lists(exchanges(), min_size=3, max_size=12).map(lambda found: list(chain(*found)))
ANY = st.lists(
    USERS
    | ANSWERS
    | INSTRUCTIONS
    | IDS.map(lambda ids: calling(ids, None))
    | st.builds(result, st.sampled_from(["c1", "c2", "c3"]), SENTENCES)
    | st.builds(lambda said: {"role": "function", "name": "f", "content": said}, SENTENCES),
    min_size=1,
    max_size=20,
)
HISTORIES = SOUND | ANY
many = settings(max_examples=100, deadline=None)


def request(messages: list[Any]) -> Request:
    """Read a body in which each message has spaces and escapes of its own."""
    said = ", ".join(
        json.dumps(message, ensure_ascii=place % 2 == 0, indent=place % 3 or None)
        for place, message in enumerate(messages)
    )
    return read(f'{{{FIELDS}, "messages": [{said}]}}'.encode())


def read(body: bytes) -> Request:
    return openai.read(body, ROUTE, most_messages=2000)


def filtered(asked: Request, mode: str) -> FilterResult:
    return filtering_result.filtered(asked, openai, FilterOptions(mode, seconds=60))


def kept(result: FilterResult) -> list[int]:
    """The places that stay, by the verdicts; all where none were needed."""
    return [v.index for v in result.verdicts or () if v.fate != "dropped"]


@many
@given(HISTORIES, st.sampled_from(MODES))
def test_each_message_has_one_verdict_and_the_tokens_add_up(messages, mode):
    asked = request(messages)

    done = filtered(asked, mode)

    assert [v.index for v in done.verdicts or ()] == list(range(len(messages)))
    count = [message.tokens for message in asked.messages]
    assert done.tokens_before == token_count.PER_REQUEST + sum(count)
    assert done.tokens_after == token_count.PER_REQUEST + sum(count[place] for place in kept(done))


@many
@given(HISTORIES, st.sampled_from(MODES))
def test_kept_messages_keep_their_bytes_or_are_joined_whole(messages, mode):
    asked = request(messages)

    done = filtered(asked, mode)

    stays = iter(kept(done))
    for raw in read(done.body).raw_messages:
        place = next(stays)
        if raw == asked.raw_messages[place]:
            continue
        joined = json.loads(raw)
        pieces = [messages[place]]
        while BETWEEN.join(piece["content"] for piece in pieces) != joined["content"]:
            pieces.append(messages[next(stays)])
        assert len(pieces) > 1
        assert all(
            piece == {"role": joined["role"], "content": piece["content"]} for piece in pieces
        )
    assert next(stays, None) is None


@many
@given(HISTORIES, st.sampled_from(MODES))
def test_all_else_in_the_body_keeps_its_bytes(messages, mode):
    sent = filtered(request(messages), mode).body.decode()

    for field in FIELDS.split(", "):
        name, value = field.split(": ", 1)
        assert f"{name}:{value}" in sent or field in sent


@many
@given(SOUND, st.sampled_from(MODES))
def test_calls_and_results_stay_complete(messages, mode):
    sent = json.loads(filtered(request(messages), mode).body)["messages"]

    waiting: list[str] = []
    for message in sent:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting
            waiting = [call["id"] for call in message.get("tool_calls", ())]


@many
@given(HISTORIES, st.sampled_from(MODES))
def test_instructions_media_marks_and_the_current_turn_stay(messages, mode):
    asked = request(messages)

    done = filtered(asked, mode)

    stays, said = set(kept(done)), done.body.decode()
    users = [place for place, each in enumerate(messages) if each["role"] == "user"]
    assert stays.issuperset(range(users[-1] if users else 0, len(messages)))
    assert stays.issuperset(
        place for place, each in enumerate(messages) if each["role"] in ("system", "developer")
    )
    for mark in ("base64", "ephemeral"):
        assert said.count(mark) == asked.body.decode().count(mark)
    if len(users) > 1 and mode not in LAST_MAY_GO:
        assert stays.issuperset(range(users[-2], users[-1]))


@many
@given(HISTORIES, st.sampled_from(MODES))
def test_plain_neighbours_are_joined_where_something_was_dropped(messages, mode):
    asked = request(messages)
    sent = read(filtered(asked, mode).body).messages
    users = [place for place, each in enumerate(sent) if each.role == "user"]

    if len(sent) < len(messages) and users:
        for first, second in pairwise(sent[: users[-1]]):
            both_plain = first.is_plain and second.is_plain
            assert not both_plain or first.role != second.role or first.role == "system"


@many
@given(HISTORIES, st.sampled_from(MODES))
def test_filtering_the_result_again_changes_no_byte(messages, mode):
    once = filtered(request(messages), mode).body

    assert filtered(read(once), mode).body == once


@many
@given(HISTORIES)
def test_modes_are_nested_and_off_is_the_very_bytes(messages):
    asked = request(messages)

    widths = [set(kept(filtered(asked, mode))) for mode in MODES]

    assert all(a <= b for a, b in pairwise(widths))
    assert filtered(asked, OFF).body is asked.body


@many
@given(HISTORIES, st.sampled_from(MODES))
def test_the_same_body_gives_the_same_bytes(messages, mode):
    assert filtered(request(messages), mode).body == filtered(request(messages), mode).body
