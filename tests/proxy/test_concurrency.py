"""A user has so many places on the proxy at once, and gets each of them back."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import LazySettings

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.limits import rate
from alchemyst.accounts.models import User
from alchemyst.asgi import within_limits
from tests import nginx
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

Through = Callable[..., str]
QUESTION = HISTORY[-1:]


@pytest.fixture
def one_place(settings: LazySettings, server: str) -> LazySettings:
    settings.PROXY_MAX_CONCURRENT = 1
    wait_for_no_request()
    return settings


@pytest.fixture
def ask(http: requests.Session, through: Through) -> Callable[..., requests.Response]:
    def post(behaviour: str = "", **body: object) -> requests.Response:
        url = f"{through(behaviour)}/chat/completions"
        return http.post(url, json=completion(QUESTION) | body)

    return post


@pytest.fixture
def begun(through: Through, leaving, provider: FakeProvider) -> Callable[..., socket.socket]:
    """Have a request under way."""

    def begin(behaviour: str = "stall", *, is_streamed: bool = False) -> socket.socket:
        provider.received.clear()
        body = completion(QUESTION, stream=is_streamed)
        connection: socket.socket = leaving(f"{through(behaviour)}/chat/completions", body)
        provider.wait_for_a_request()
        return connection

    return begin


def wait_for_no_request(seconds: float = 2) -> None:
    end = time.monotonic() + seconds
    while len(within_limits):
        assert time.monotonic() < end, "a place was not given back"
        time.sleep(0.01)


class TestWhoFindsNoPlace:
    def test_is_told_to_wait(self, one_place, begun, ask):
        begun()

        response = ask()

        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert "under way" in error["message"]

    def test_is_told_in_geminis_shape_where_that_is_spoken(
        self, one_place, begun, http: requests.Session, server: str, provider: FakeProvider
    ):
        begun()

        response = http.post(
            f"{server}/api/v1/proxy/{provider.url}/v1beta/models/gemini-2.0-flash:generateContent",
            json={"contents": [{"parts": [{"text": "Hello"}]}]},
            headers={"x-goog-api-key": "own"},
        )

        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1
        assert response.json()["error"]["status"] == "RESOURCE_EXHAUSTED"

    def test_asks_no_provider(self, one_place, begun, ask, provider: FakeProvider):
        begun()

        ask()

        assert len(provider.received) == 1

    def test_is_not_counted_by_the_rate(self, one_place, begun, ask, monkeypatch):
        rate.clear()
        monkeypatch.setitem(one_place.RATE_LIMITS, "proxy", (2, 3600))
        connection = begun()
        assert [ask().status_code for _ in range(3)] == [429] * 3
        connection.close()
        wait_for_no_request()

        assert ask().status_code == 200

    def test_takes_none_from_others(self, one_place, begun, through: Through, bob: User):
        begun()

        response = requests.post(
            f"{through()}/chat/completions",
            json=completion(QUESTION),
            headers={"Authorization": f"Bearer {issue(bob).access}"},
        )

        assert response.status_code == 200

    def test_is_nobody_where_the_operator_sets_no_limit(self, one_place, begun, ask):
        one_place.PROXY_MAX_CONCURRENT = 0
        begun()

        assert ask().status_code == 200

    def test_is_nobody_while_there_are_places(self, one_place, begun, ask):
        one_place.PROXY_MAX_CONCURRENT = 2
        begun()

        assert ask().status_code == 200
        begun()
        assert ask().status_code == 429


class TestAPlaceIsFree:
    def test_when_the_answer_has_ended(self, one_place, ask):
        assert [ask().status_code for _ in range(3)] == [200] * 3

    def test_when_the_stream_has_ended(self, one_place, ask):
        assert ask(stream=True).text.endswith("data: [DONE]\n\n")
        assert ask().status_code == 200

    @pytest.mark.parametrize("behaviour", ["fail/500", "redirect", "stall"])
    def test_when_the_provider_has_failed(self, one_place, bounds, ask, behaviour: str):
        assert ask(behaviour).status_code >= 500
        assert ask().status_code == 200

    def test_when_the_stream_has_broken(self, one_place, ask):
        assert "upstream_unreachable" in ask("cut", stream=True).text
        assert ask().status_code == 200

    def test_when_the_request_was_refused(self, one_place, ask):
        assert ask(messages=[]).status_code == 400
        assert ask().status_code == 200

    def test_when_we_have_failed(self, one_place, ask, monkeypatch):
        """A fault of ours costs no place."""
        monkeypatch.setattr("proxy.gateway.flow._read_and_filter", None)
        assert ask().status_code == 500
        monkeypatch.undo()

        wait_for_no_request()

    @pytest.mark.parametrize("is_streamed", [True, False])
    def test_when_the_client_leaves_before_the_first_byte(
        self, one_place, begun, ask, is_streamed: bool
    ):
        connection = begun("stall", is_streamed=is_streamed)
        assert ask().status_code == 429

        connection.close()

        wait_for_no_request()
        assert ask().status_code == 200

    def test_when_the_client_leaves_in_mid_stream(self, one_place, begun, ask):
        connection = begun("slow", is_streamed=True)
        assert connection.recv(100)

        connection.close()

        wait_for_no_request()
        assert ask().status_code == 200

    def test_when_the_client_reads_nothing_and_leaves(self, one_place, begun, ask):
        connection = begun("endless", is_streamed=True)
        time.sleep(0.3)

        connection.close()

        wait_for_no_request()
        assert ask().status_code == 200

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx passes on none but whole bodies")
    def test_when_the_client_leaves_in_mid_body(self, one_place, through: Through, token: str, ask):
        parts = urlsplit(f"{through()}/chat/completions")
        half = json.dumps(completion(QUESTION)).encode()
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(
                f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Authorization: Bearer {token}\r\nContent-Length: {2 * len(half)}\r\n\r\n".encode()
                + half
            )
            wait_until_one_is_under_way()

        wait_for_no_request()
        assert ask().status_code == 200


def wait_until_one_is_under_way(seconds: float = 2) -> None:
    end = time.monotonic() + seconds
    while not len(within_limits):
        assert time.monotonic() < end
        time.sleep(0.01)
