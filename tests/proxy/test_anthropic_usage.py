"""Anthropic's counts in OpenAI's terms, and what its events say to the chats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire import anthropic
from proxy.wire.dialect import NOTHING, Prompt, latest
from proxy.wire.reported_errors import ReportedError
from tests import anthropic as fake

NAMES = ("prompt_tokens", "completion_tokens", "cached_tokens", "written_tokens")
NAMES += ("written_for_long_tokens", "reasoning_tokens")


def counts(*numbers: int | None) -> dict[str, int | None]:
    return dict(zip(NAMES, [*numbers, *[None] * (6 - len(numbers))], strict=True))


class TestCounts:
    @pytest.mark.parametrize(
        ("usage", "expected"),
        [
            (fake.USAGE, counts(30, 4, 16, 9, 7, 3)),
            ({"input_tokens": 5, "output_tokens": 0}, counts(5, 0)),
            ({"input_tokens": 5, "cache_read_input_tokens": 0}, counts(5, None, 0)),
            ({"input_tokens": None, "output_tokens": 4}, counts(None, 4)),
            ({"input_tokens": 2**31 - 1, "cache_read_input_tokens": 1}, counts(None, None, 1)),
            ({"input_tokens": -1, "output_tokens": "4", "iterations": 5}, counts()),
            (
                {"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2}},
                counts(3, None, None, 2),
            ),
            (
                {
                    "input_tokens": 1,
                    "output_tokens": 1,
                    "iterations": [
                        {"type": "compaction", "input_tokens": 100, "output_tokens": 10},
                        {"type": "message", "input_tokens": 1, "output_tokens": 1},
                    ],
                },
                counts(101, 11),
            ),
        ],
        ids=repr,
    )
    def test_are_sums_of_what_is_told(self, usage: dict[str, Any], expected: dict[str, Any]):
        assert anthropic.counts_in(usage) == expected

    def test_of_a_stream_are_the_last_of_each(self):
        texts = b"".join(
            [
                fake.start(input_tokens=5),
                *fake.end(output_tokens=4, input_tokens=6, cache_read_input_tokens=None),
            ]
        )

        assert anthropic.reported(texts) == counts(31, 4, 16, 9)

    def test_of_a_whole_answer_are_its_own(self):
        tool = {"type": "tool_use", "id": "1", "name": "f", "input": {"usage": {"input_tokens": 9}}}
        told = {"output_tokens": 4}

        assert anthropic.reported(json.dumps(fake.answer(tool, usage=told)).encode()) == counts(
            None, 4
        )

    def test_of_an_event_at_the_end_leave_the_whole_input_as_it_began(self):
        began = anthropic.parse_event(_data(fake.start())).counts
        ended = anthropic.parse_event(_data(fake.end(output_tokens=4, input_tokens=5)[0])).counts

        assert latest(began, ended) == counts(30, 4, 16, 9)


def _data(event: bytes) -> bytes:
    return event.partition(b"data: ")[2].strip()


class TestEvents:
    def test_say_text_reasoning_and_how_it_ends(self):
        told = [anthropic.parse_event(_data(event)) for event in fake.events()]

        assert "".join(event.text for event in told) == fake.ANSWER
        assert "".join(event.reasoning for event in told) == "Bread."
        assert [event.finish for event in told if event.finish] == ["stop"]
        assert [event.is_last for event in told] == [False] * (len(told) - 1) + [True]

    @pytest.mark.parametrize(
        ("reason", "finish"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("tool_use", "tool_calls"),
            ("refusal", "content_filter"),
            ("model_context_window_exceeded", "length"),
            ("something_new", "something_new"),
        ],
    )
    def test_end_in_openais_words(self, reason: str, finish: str):
        assert anthropic.parse_event(_data(fake.end(reason)[0])).finish == finish

    def test_may_be_a_whole_answer(self):
        blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]
        blocks += [{"type": "text", "text": "Yes"}, {"type": "new", "text": "?"}]

        event = anthropic.parse_event(json.dumps(fake.answer(*blocks)).encode())

        assert (event.text, event.reasoning, event.finish) == ("Yes", "Hm.", "stop")
        assert event.counts == counts(30, 4, 16, 9, 7, 3)

    @pytest.mark.parametrize(
        "event",
        [
            fake.PING,
            fake.event("something_new", delta={"type": "new", "text": "x"}),
            fake.event("content_block_stop", index=0),
            fake.event("content_block_delta", delta={"type": "input_json_delta", "text": "{"}),
        ],
        ids=repr,
    )
    def test_of_other_kinds_say_nothing(self, event: bytes):
        assert anthropic.parse_event(_data(event)) == NOTHING

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("overloaded_error", 503),
            ("rate_limit_error", 429),
            ("x", 502),
            ("429", 429),
            ("0429" + "9" * 5000, 502),
        ],
    )
    def test_of_an_error_raise_it(self, kind: str, status: int):
        event = fake.event("error", error={"type": kind, "message": "Why"})

        with pytest.raises(ReportedError) as raised:
            anthropic.parse_event(_data(event))

        assert (raised.value.words, raised.value.reported_status) == ("Why", status)


class TestAPromptOfOurs:
    def test_has_a_bound_and_the_instructions_apart(self):
        said = [("user", "Hi"), ("assistant", " "), ("user", "Well?")]

        body, route = anthropic.prompted(Prompt("m", "Be brief", said, temperature=1.5))

        assert json.loads(body) == {
            "model": "m",
            "max_tokens": 8192,
            "messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Well?"}],
            "stream": True,
            "system": "Be brief",
            "temperature": 1.0,
        }
        assert (route.endpoint, route.headers) == (
            "/v1/messages",
            ((b"anthropic-version", b"2023-06-01"),),
        )

    def test_leaves_out_what_nobody_asked_for(self):
        body, _ = anthropic.prompted(Prompt("m", "", [("user", "Hi")], max_tokens=5))

        assert json.loads(body).keys() == {"model", "max_tokens", "messages", "stream"}
        assert json.loads(body)["max_tokens"] == 5
