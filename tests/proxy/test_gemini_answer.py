"""What comes down from Gemini, byte for byte, and how it ends when it breaks."""

from __future__ import annotations

import json

import pytest
import requests

from proxy.common.errors import InvalidRequest
from proxy.models import UsageRecord
from proxy.wire import gemini
from tests import gemini as fake
from tests.fakes import FakeProvider
from tests.gemini import Ask


class TestTheWayDown:
    @pytest.mark.parametrize("query", ["?alt=sse", ""])
    def test_a_stream_comes_byte_for_byte(self, ask_gemini: Ask, rows, query: str):
        answer = ask_gemini(task="streamGenerateContent", query=query)

        sent = b"".join(fake.as_events() if query else fake.as_array())
        assert answer.content == sent
        assert b"[DONE]" not in answer.content
        kind = "text/event-stream" if query else "application/json"
        assert answer.headers["content-type"].startswith(kind)
        (row,) = rows()
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (21, 7, 16)
        assert row.outcome == UsageRecord.Outcome.COMPLETE

    def test_a_whole_answer_comes_byte_for_byte(self, ask_gemini: Ask, rows):
        answer = ask_gemini()

        assert answer.json() == fake.answer({"text": fake.ANSWER}, finishReason="STOP")
        (row,) = rows()
        assert (row.endpoint, row.model, row.status) == ("generateContent", "m", 200)
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (21, 7, 16)
        assert row.reasoning_tokens == 3

    @pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503, 504])
    def test_an_error_of_geminis_comes_with_its_details(self, ask_gemini: Ask, status: int):
        answer = ask_gemini(behaviour=f"gemini-fail/{status}")

        assert answer.status_code == status
        assert answer.json() == fake.failure(status)
        assert "retry-after" not in answer.headers

    def test_a_blocked_prompt_stays_an_answer_without_candidates(
        self, ask_gemini: Ask, provider: FakeProvider
    ):
        blocked = b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{}}'

        answer = ask_gemini(blocked, "predict")

        assert (answer.status_code, answer.content) == (200, blocked)

    def test_an_event_stream_that_breaks_ends_with_an_error_event(self, ask_gemini: Ask, rows):
        answer = ask_gemini(task="streamGenerateContent", query="?alt=sse", behaviour="gemini-cut")

        first, last = answer.content.strip().rsplit(b"\n\n", 1)
        assert first.strip() == fake.as_events()[0].strip()
        error = json.loads(last.removeprefix(b"data: "))["error"]
        assert (error["code"], error["status"]) == (502, "UNAVAILABLE")
        assert rows()[0].outcome == UsageRecord.Outcome.BROKEN

    @pytest.mark.parametrize(("where", "count"), [("nothing", 0), ("element", 1), ("comma", 1)])
    def test_an_array_that_breaks_between_elements_ends_with_an_error_element(
        self, ask_gemini: Ask, rows, where: str, count: int
    ):
        answer = ask_gemini(task="streamGenerateContent", behaviour=f"gemini-cut/{where}")

        *elements, last = answer.json()
        assert elements == fake.chunks()[:count]
        assert last["error"]["status"] == "UNAVAILABLE"
        assert rows()[0].outcome == UsageRecord.Outcome.BROKEN

    def test_an_array_that_goes_silent_ends_with_a_timeout(self, ask_gemini: Ask, bounds):
        answer = ask_gemini(task="streamGenerateContent", behaviour="gemini-stall-after-one")

        element, last = answer.json()
        assert element == fake.chunks()[0]
        assert (last["error"]["code"], last["error"]["status"]) == (504, "DEADLINE_EXCEEDED")

    def test_an_array_that_breaks_within_an_element_is_cut(self, ask_gemini: Ask):
        answer = ask_gemini(task="streamGenerateContent", behaviour="gemini-cut/inside")

        with pytest.raises(
            (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)
        ):
            assert answer.content

    @pytest.mark.parametrize(
        ("tail", "is_closed"),
        [
            (b'[{"candidates":[]}', True),
            (b'[{"candidates":[]},', True),
            (b'"text":"x"}]}]}\n,\n{\n "candidates": [{"a": "}"}]\n}\n', True),
            (b"[", True),
            (b"", False),
            (b'{"candidates":[]}', False),
            (b'[{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b"}', False),
            (b'[{"candidates":[]}]', False),
            (b'[{"candidates":[{"content":', False),
        ],
    )
    def test_an_array_is_closed_only_where_an_element_ended(self, tail: bytes, is_closed: bool):
        end = gemini.closing(tail, InvalidRequest("x"))

        assert (end is not None) == is_closed
        if end and tail.startswith(b"["):
            assert json.loads(tail + end)[-1]["error"]["message"] == "x"
