"""How a response comes down: byte for byte, to its own end, and what the ledger reads of it."""

from __future__ import annotations

import json

import pytest
import requests

from proxy.models import UsageRecord
from tests import responses
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
        [("incomplete", Outcome.COMPLETE), ("failed", Outcome.BROKEN)],
    )
    def test_the_ledger_reads_the_status(
        self, ask_responses: Ask, rows, status: str, outcome: str, is_streamed: bool
    ):
        answer = ask_responses(behaviour=f"responses-ended/{status}", stream=is_streamed)

        assert f'"status": "{status}"'.encode() in answer.content
        assert b"upstream" not in answer.content
        assert (rows()[0].status, rows()[0].outcome) == (200, outcome)

    def test_the_providers_own_error_event_is_given_no_other(self, ask_responses: Ask, rows):
        answer = ask_responses(behaviour="responses-error", stream=True)

        assert answer.content.count(b"event: error") == 1
        assert b"response.failed" not in answer.content
        assert rows()[0].outcome == Outcome.BROKEN

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
