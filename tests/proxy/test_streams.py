"""Whoever leaves, breaks off or goes silent: nobody waits for ever, nothing looks like success."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable

import openai
import pytest
import requests

from proxy.models import UsageRecord
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

Through = Callable[..., str]
QUESTION = HISTORY[-1:]


class TestAClientThatLeaves:
    @pytest.mark.parametrize("is_streamed", [True, False])
    def test_before_the_first_byte_closes_the_provider_within_a_second(
        self, through: Through, provider: FakeProvider, leaving, is_streamed: bool
    ):
        connection = leaving(
            f"{through('stall')}/chat/completions", completion(QUESTION, stream=is_streamed)
        )
        received = provider.wait_for_a_request()

        connection.close()

        assert received.is_closed.wait(1)

    def test_in_mid_stream_closes_the_provider_within_a_second(
        self, through: Through, provider: FakeProvider, leaving
    ):
        connection = leaving(
            f"{through('slow')}/chat/completions", completion(QUESTION, stream=True)
        )
        assert connection.recv(100)
        received = provider.wait_for_a_request()

        connection.close()

        assert received.is_closed.wait(1)

    def test_leaves_a_row_that_says_so(
        self, through: Through, provider: FakeProvider, leaving, rows
    ):
        connection = leaving(
            f"{through('slow')}/chat/completions", completion(QUESTION, stream=True)
        )
        assert connection.recv(100)
        connection.close()
        assert provider.wait_for_a_request().is_closed.wait(1)
        time.sleep(0.1)

        (row,) = rows()

        assert row.outcome == UsageRecord.Outcome.CLIENT_CLOSED
        assert row.status == 200

    def test_that_reads_slowly_does_not_fill_the_memory(
        self, through: Through, provider: FakeProvider, leaving
    ):
        """The provider offers 650 MB; a client that reads nothing lets it send a few at most."""
        connection = leaving(f"{through('endless')}/chat/completions", completion(QUESTION))
        provider.wait_for_a_request()
        before = _resident_megabytes()

        time.sleep(1)

        assert _resident_megabytes() - before < 30
        connection.close()
        assert provider.last().is_closed.wait(2)


def _resident_megabytes() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


class TestAProvider:
    @pytest.mark.parametrize("is_streamed", [True, False])
    def test_that_never_answers_is_504(
        self, http: requests.Session, through: Through, bounds, is_streamed: bool
    ):
        response = http.post(
            f"{through('stall')}/chat/completions", json=completion(QUESTION, stream=is_streamed)
        )

        assert response.status_code == 504
        assert response.json()["error"]["code"] == "upstream_timeout"

    def test_that_goes_silent_ends_the_stream_with_an_error(
        self, sdk: Callable[..., openai.OpenAI], through: Through, bounds
    ):
        stream = sdk(through("stall-after-one")).chat.completions.create(
            **completion(QUESTION), stream=True
        )

        assert next(stream).choices[0].delta.content == "One"
        with pytest.raises(openai.APIError) as raised:
            next(stream)
        assert raised.value.code == "upstream_timeout"

    def test_that_breaks_off_ends_the_stream_with_an_error_and_no_done(
        self, http: requests.Session, through: Through, rows
    ):
        response = http.post(
            f"{through('cut')}/chat/completions", json=completion(QUESTION, stream=True)
        )

        events = [line for line in response.text.split("\n\n") if line]
        assert json.loads(events[0].removeprefix("data: "))["choices"]
        assert json.loads(events[1].removeprefix("data: "))["error"]["code"] == (
            "upstream_unreachable"
        )
        assert len(events) == 2
        assert rows()[0].outcome == UsageRecord.Outcome.BROKEN

    def test_that_breaks_off_a_whole_answer_cuts_ours_too(
        self, http: requests.Session, through: Through
    ):
        with pytest.raises(
            (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)
        ) as raised:
            http.post(f"{through('cut')}/chat/completions", json=completion(QUESTION))

        assert "IncompleteRead" in str(raised.value) or isinstance(
            raised.value.__context__, http_client_errors
        )

    def test_that_nobody_listens_at_is_502(
        self, http: requests.Session, server: str, provider: FakeProvider, settings
    ):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        settings.PROXY_ALLOWED_TARGETS = [f"127.0.0.1:{port}"]

        response = http.post(
            f"{server}/api/v1/proxy/http://127.0.0.1:{port}/v1/sk-1/chat/completions",
            json=completion(QUESTION),
        )

        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_unreachable"
        assert str(port) not in response.text

    def test_that_compresses_unasked_is_502(self, http: requests.Session, through: Through):
        response = http.post(f"{through('gzipped')}/chat/completions", json=completion(QUESTION))

        assert response.status_code == 502

    def test_that_sends_too_much_is_stopped(
        self, http: requests.Session, through: Through, provider: FakeProvider, settings
    ):
        settings.PROXY_MAX_RESPONSE = 1_000_000

        response = http.post(
            f"{through('endless')}/chat/completions", json=completion(QUESTION, stream=True)
        )

        assert len(response.content) < 1_100_000
        assert '"code":"upstream_unreachable"' in response.text
        assert provider.last().is_closed.wait(2)

    def test_that_fails_is_passed_on_as_it_is(self, http: requests.Session, through: Through):
        response = http.post(f"{through('fail/418')}/chat/completions", json=completion(QUESTION))

        assert response.status_code == 418
        assert response.json()["error"]["message"] == "Failed with 418"
        assert "x-alchemyst-error-source" not in response.headers


http_client_errors = (http.client.IncompleteRead, http.client.HTTPException, ConnectionError)
