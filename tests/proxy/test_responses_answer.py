"""How a response comes down: byte for byte, to its own end, and what the ledger reads of it."""

from __future__ import annotations

import json

import pytest
import requests
from aiohttp import web

from proxy.models import UsageRecord
from proxy.wire import responses as wire
from proxy.wire.answer_text import answer_text
from tests import responses
from tests.fakes import ANSWER, FakeProvider, Received
from tests.responses import Ask

Outcome = UsageRecord.Outcome
CUT = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)


class TestTheWayDown:
    def test_a_whole_answer_comes_byte_for_byte(self, ask_responses: Ask, rows):
        answer = ask_responses()

        assert answer.json() == responses.response(responses.reasoning(), responses.said())
        (row,) = rows()
        assert (row.endpoint, row.model, row.outcome) == ("responses", "gpt-test", Outcome.COMPLETE)
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (21, 9, 16)

    def test_a_stream_comes_byte_for_byte(self, ask_responses: Ask, rows):
        answer = ask_responses(stream=True)

        assert answer.content == b"".join(responses.events(responses.reasoning(), responses.said()))
        (row,) = rows()
        assert row.outcome == Outcome.COMPLETE
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (21, 9, 16)

    @pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize(
        ("status", "outcome"),
        [("incomplete", Outcome.COMPLETE), ("failed", Outcome.FAILED)],
    )
    def test_the_ledger_reads_the_status(
        self, ask_responses: Ask, rows, status: str, outcome: str, is_streamed: bool
    ):
        answer = ask_responses(behaviour=f"responses-ended/{status}", stream=is_streamed)

        assert f'"status": "{status}"'.encode() in answer.content
        assert b"upstream" not in answer.content
        assert (rows()[0].status, rows()[0].outcome) == (200, outcome)

    @pytest.mark.parametrize("is_sized", [True, False])
    @pytest.mark.parametrize("size", [10, 400_000])
    def test_the_ledger_reads_the_response_s_status_and_no_item_s(
        self, ask_responses: Ask, provider: FakeProvider, rows, size: int, is_sized: bool
    ):
        item = {"type": "mcp_call", "id": "mcp_1", "status": "failed", "output": "x" * size}

        async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
            status = received.json["metadata"]["status"]
            answer = json.dumps(responses.response(item, status=status)).encode()
            if is_sized:
                return web.Response(body=answer, content_type="application/json")
            chunked = web.StreamResponse(headers={"content-type": "application/json"})
            await chunked.prepare(request)
            await chunked.write(answer)
            return chunked

        provider.behaviours["given"] = behaviour

        for status in ("completed", "failed"):
            answer = ask_responses(behaviour="given", metadata={"status": status})
            assert answer.json()["status"] == status

        assert [row.outcome for row in rows()] == [Outcome.COMPLETE, Outcome.FAILED]

    def test_all_counts_are_read_as_far_as_there_are_some(self):
        told = json.dumps({"response": {"usage": responses.USAGE}}).encode()

        assert wire.reported(told) == {
            "prompt_tokens": 21,
            "completion_tokens": 9,
            "cached_tokens": 16,
            "written_tokens": 3,
            "reasoning_tokens": 5,
        }
        assert set(wire.reported(b'{"usage": {}, "usage": null}').values()) == {None}

    @pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
    def test_its_text_is_read_for_whoever_keeps_it(self, end: bytes):
        streamed = b"".join(responses.events(responses.reasoning(), responses.said())) + end
        called = b"".join(responses.events(responses.call(0, "look", "{}"), responses.said()))

        assert answer_text(wire, streamed) == ANSWER
        assert (
            answer_text(wire, json.dumps(responses.response(responses.said())).encode()) == ANSWER
        )
        assert answer_text(wire, called) == ""

    def test_parts_of_its_reasoning_are_apart(self):
        parts = [{"type": "summary_text", "text": text} for text in ("Flour.", "Time.")]
        item = responses.reasoning() | {"summary": parts}
        new = {"id": "x", "type": "teleport", "content": {"to": 1}, "summary": "x"}
        whole = json.dumps(responses.response(item, new, responses.said())).encode()

        event = wire.parse_event(whole)

        assert (event.reasoning, event.text, event.finish) == ("Flour.\n\nTime.", ANSWER, "stop")
        begun = b'{"type":"response.reasoning_summary_part.added","summary_index":%d}'
        assert [wire.parse_event(begun % place).reasoning for place in (0, 1)] == ["", "\n\n"]

    def test_an_error_of_the_providers_comes_with_its_words_and_headers(self, ask_responses: Ask):
        answer = ask_responses(behaviour="limited")

        assert answer.status_code == 429
        assert answer.json()["error"]["message"] == "Slow down"
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        assert "x-alchemyst-error-source" not in answer.headers

    def test_the_providers_own_error_event_is_given_no_other(self, ask_responses: Ask, rows):
        answer = ask_responses(behaviour="responses-error", stream=True)

        assert answer.content.count(b"event: error") == 1
        assert b"response.failed" not in answer.content
        assert rows()[0].outcome == Outcome.FAILED

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_a_stream_that_breaks_ends_with_a_failed_response(
        self, ask_responses: Ask, rows, count: int
    ):
        answer = ask_responses(behaviour=f"responses-cut/{count}", stream=True)

        whole = b"".join(responses.events(responses.said())[:count])
        assert answer.content.startswith(whole)
        name, data = answer.content.removeprefix(whole).strip().split(b"\n")
        failed = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: response.failed"
        assert (failed["type"], failed["sequence_number"]) == ("response.failed", count)
        assert failed["response"]["id"] == responses.ID
        assert failed["response"]["status"] == "failed"
        assert failed["response"]["error"]["code"] == "upstream_unreachable"
        assert failed["response"]["error"]["message"]
        assert rows()[0].outcome == Outcome.BROKEN

    def test_a_stream_that_breaks_before_its_response_is_created_is_cut(
        self, ask_responses: Ask, rows
    ):
        answer = ask_responses(behaviour="responses-cut/0", stream=True)

        with pytest.raises(CUT):
            assert answer.content
        assert rows()[0].outcome == Outcome.BROKEN

    @pytest.mark.parametrize("after", [-1, 4])
    def test_an_earlier_response_is_streamed_alike(
        self, http: requests.Session, through, rows, after: int
    ):
        query = f"stream=true&starting_after={after}"

        answer = http.get(f"{through('responses')}/responses/{responses.ID}?{query}")

        assert answer.content == b"".join(responses.events(responses.said())[after + 1 :])
        assert rows()[0].outcome == Outcome.COMPLETE
