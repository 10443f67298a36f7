"""What comes down from Anthropic, byte for byte, and how it ends when it breaks."""

from __future__ import annotations

import json

import pytest

from proxy.models import UsageRecord
from tests import anthropic as fake
from tests.anthropic import Ask
from tests.fakes import ANSWER, FakeProvider

Outcome = UsageRecord.Outcome


def error_of(content: bytes) -> dict:
    """The last event, which must be a named error."""
    assert content.endswith(b"\n\n")
    name, data = content.strip().rpartition(b"\n\n")[2].split(b"\n")
    assert name == b"event: error"
    return json.loads(data.removeprefix(b"data: "))


class TestTheWayDown:
    def test_a_stream_comes_byte_for_byte_with_pings_and_signatures(self, ask_anthropic: Ask, rows):
        answer = ask_anthropic(stream=True)

        assert answer.content == b"".join(fake.events())
        assert b"[DONE]" not in answer.content
        assert answer.headers["content-type"].startswith("text/event-stream")
        (row,) = rows()
        assert row.outcome == Outcome.COMPLETE
        assert (row.endpoint, row.model, row.status) == ("messages", fake.MODEL, 200)
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (30, 4, 16)

    def test_a_whole_answer_comes_as_it_is_with_the_providers_headers(
        self, ask_anthropic: Ask, rows
    ):
        answer = ask_anthropic()

        assert answer.json() == fake.answer({"type": "text", "text": ANSWER})
        assert answer.headers["request-id"] == "req_up_1"
        assert answer.headers["anthropic-ratelimit-requests-remaining"] == "9"
        (row,) = rows()
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (30, 4, 16)

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 429, 500, 503, 529])
    def test_a_refusal_of_anthropics_comes_with_its_words(self, ask_anthropic: Ask, status: int):
        answer = ask_anthropic(behaviour=f"anthropic-fail/{status}")

        assert answer.status_code == status
        assert answer.content == json.dumps(fake.failure(status)).encode()
        assert answer.headers["x-should-retry"] == "true"
        assert "retry-after" not in answer.headers
        assert "x-alchemyst-error-source" not in answer.headers


class TestALongStream:
    def test_has_what_it_told_at_its_start_in_its_usage_row(
        self, ask_anthropic: Ask, provider: FakeProvider, rows
    ):
        words = fake.block(0, fake.TEXT, *fake.WORDS * 300)
        pieces = [fake.start(), *words, *fake.end(output_tokens=900)]
        provider.behaviours["given"] = lambda request, _: fake.stream(request, pieces)

        content = ask_anthropic(stream=True, behaviour="given").content

        assert content == b"".join(pieces)
        (row,) = rows()
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (30, 900, 16)


class TestAStreamThatBreaks:
    @pytest.mark.parametrize("how", ["anthropic-cut/by-reset", "anthropic-cut/cleanly"])
    def test_ends_with_an_error_event_and_nothing_else(self, ask_anthropic: Ask, rows, how: str):
        answer = ask_anthropic(stream=True, behaviour=how)

        content = answer.content
        assert content.startswith(b"".join(fake.events()[:9]) + b"\n\nevent: error\n")
        error = error_of(content)
        assert error["type"] == "error"
        assert error["error"]["type"] == "api_error"
        assert error["error"]["code"] == "upstream_unreachable"
        assert error["request_id"] == answer.headers["x-alchemyst-request-id"]
        assert b"message_stop" not in content
        assert rows()[0].outcome == Outcome.BROKEN

    def test_by_the_providers_own_error_ends_with_that(self, ask_anthropic: Ask, rows):
        answer = ask_anthropic(stream=True, behaviour="anthropic-breakdown")

        assert answer.content == b"".join([*fake.events()[:9], fake.OVERLOADED])
        assert rows()[0].outcome == Outcome.FAILED

    @pytest.mark.parametrize("count", range(1, len(fake.events()) - 1))
    def test_is_broken_until_it_says_why_it_stops(
        self, ask_anthropic: Ask, provider: FakeProvider, rows, count: int
    ):
        provider.behaviours["given"] = lambda request, _: fake.stream(
            request, fake.events()[:count]
        )

        assert error_of(ask_anthropic(stream=True, behaviour="given").content)
        assert rows()[0].outcome == Outcome.BROKEN

    def test_is_whole_once_it_has_said_why_it_stops(
        self, ask_anthropic: Ask, provider: FakeProvider, rows
    ):
        provider.behaviours["given"] = lambda request, _: fake.stream(request, fake.events()[:-1])

        content = ask_anthropic(stream=True, behaviour="given").content

        assert content == b"".join(fake.events()[:-1])
        assert rows()[0].outcome == Outcome.COMPLETE
