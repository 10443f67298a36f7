"""Behind nginx, in the configuration that docs/deployment.md gives."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from websockets.sync.client import connect

from alchemyst.accounts.models import User
from chats.models import Chat
from tests import nginx
from tests.conftest import Server
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion
from tests.proxy.raw import OK, RawProvider, read_until
from tests.proxy.test_upgrades import shaken

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not nginx.PROGRAM, reason="nginx is not installed"),
]

CANARY = "canary-7Zq4-secret"
QUESTION = HISTORY[-1:]


@pytest.fixture(params=nginx.WAYS)
def front(
    request: pytest.FixtureRequest, server: str, the_server: Server, tmp_path: Path
) -> Iterator[nginx.Nginx]:
    """An nginx in front of the application."""
    running = nginx.Nginx(request.param, the_server.url, tmp_path)
    yield running
    running.end()


@pytest.mark.parametrize("encoded", [False, True])
def test_a_target_in_the_path_arrives(
    front: nginx.Nginx, http: requests.Session, provider: FakeProvider, encoded: bool
):
    target = f"{provider.url}/v1"
    target = target.replace(":", "%3A").replace("/", "%2F") if encoded else target

    answer = http.post(
        f"{front.url}/api/v1/proxy/{target}/sk-1/chat/completions", json=completion(QUESTION)
    )

    assert answer.status_code == 200
    assert provider.last().path == "/v1/chat/completions"
    assert provider.last().headers["Authorization"] == "Bearer sk-1"


def test_a_stream_comes_piece_by_piece(
    front: nginx.Nginx, http: requests.Session, provider: FakeProvider
):
    url = f"{front.url}/api/v1/proxy/{provider.url}/slow/v1/sk-1/chat/completions"

    with http.post(url, json=completion(QUESTION, stream=True), stream=True) as answer:
        first = next(answer.iter_content(None))

    assert first.count(b"data: ") == 1


def test_the_provider_is_closed_when_the_client_leaves(
    front: nginx.Nginx, http: requests.Session, provider: FakeProvider
):
    url = f"{front.url}/api/v1/proxy/{provider.url}/slow/v1/sk-1/chat/completions"

    with http.post(url, json=completion(QUESTION, stream=True), stream=True) as answer:
        next(answer.iter_content(None))

    assert provider.last().is_closed.wait(2)


def test_a_large_body_passes(front: nginx.Nginx, http: requests.Session, provider: FakeProvider):
    image = {"type": "image_url", "image_url": {"url": "data:," + "A" * 5_000_000}}
    question = [{"role": "user", "content": [image]}]

    answer = http.post(
        f"{front.url}/api/v1/proxy/{provider.url}/v1/sk-1/chat/completions",
        json=completion(question),
    )

    assert answer.status_code == 200


def test_an_error_keeps_its_shape(front: nginx.Nginx, http: requests.Session):
    answer = http.post(
        f"{front.url}/api/v1/proxy/http://10.0.0.1/v1/sk-1/chat/completions", data=b"{}"
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_target"


def test_a_refusal_is_heard_though_it_comes_before_a_large_body_was_read(front: nginx.Nginx):
    """Otherwise it would be nginx's own 502, which clients try again."""
    answers = [
        requests.post(f"{front.url}/api/v1/proxy/default/chat/completions", data=b"x" * 30_000_000)
        for _ in range(5)
    ]

    assert [answer.status_code for answer in answers] == [401] * 5


def test_a_body_that_nginx_finds_too_large_is_refused_in_our_shape(front: nginx.Nginx):
    connection = HTTPConnection(urlsplit(front.url).netloc, timeout=20)
    connection.putrequest("POST", "/api/v1/proxy/default/chat/completions")
    connection.putheader("Content-Length", str(513 * 1024 * 1024))
    connection.endheaders()

    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    connection.close()

    assert answer.status == 413
    assert answer.headers["content-type"] == "application/json"
    assert error.keys() == {"message", "type", "code", "param"}
    assert error["code"] == "request_too_large"


def test_a_file_larger_than_any_other_body_goes_up(
    front: nginx.Nginx, http: requests.Session, settings
):
    taken: list[int] = []

    def take(connection: socket.socket) -> None:
        taken.append(len(read_until(connection, b"END")))
        connection.sendall(OK)

    provider = RawProvider(take)
    settings.PROXY_ALLOWED_TARGETS = [provider.address]
    file = b"x" * 33 * 1024 * 1024 + b"END"

    answer = http.post(
        f"{front.url}/api/v1/proxy/{provider.url}/v1/files",
        data=file,
        headers={"X-Upstream-Api-Key": "sk-1"},
    )

    assert answer.content == b"{}"
    assert taken[0] >= len(file)
    provider.stop()


def test_a_websocket_on_the_proxys_path_is_426(
    front: nginx.Nginx, provider: FakeProvider, token: str
):
    answer = shaken(f"{front.url}/api/v1/proxy/{provider.url}/v1/responses", token)

    assert answer.startswith(b"HTTP/1.1 426 ")
    assert not provider.received


@pytest.mark.parametrize("fault", ["cut", "redirect", "endless"])
def test_neither_log_shows_the_key_of_a_call_that_fails(
    front: nginx.Nginx, http: requests.Session, provider: FakeProvider, fault: str
):
    url = f"{front.url}/api/v1/proxy/{provider.url}/{fault}/v1/{CANARY}/chat/completions"

    with contextlib.suppress(requests.RequestException):
        http.post(url, json=completion(QUESTION))
    http.post(url, data=b"x" * 33 * 1024 * 1024)
    requests.get(f"{front.url}/healthz")

    assert "/healthz" in front.log()
    assert CANARY not in front.log()


@pytest.mark.parametrize("prefix", ["api/v1/PROXY", "api/v1/chat/../%70roxy", "proxy"])
def test_no_log_shows_the_key_of_a_path_that_was_mistyped(
    front: nginx.Nginx, http: requests.Session, prefix: str
):
    target = f"{front.url}/{prefix}/https://no-such-host.invalid/v1/{CANARY}/chat/completions"
    request = http.prepare_request(requests.Request("POST", front.url, json=completion(QUESTION)))
    request.url = target

    http.send(request)
    requests.get(f"{front.url}/healthz")

    assert "/healthz" in front.log()
    assert CANARY not in front.log()


def test_a_chat_is_followed_over_a_websocket(front: nginx.Nginx, alice: User, token: str):
    chat = Chat.objects.create(owner=alice)
    address = f"{front.url.replace('http', 'ws')}/ws/chat/{chat.pk}"

    with connect(address, proxy=None) as socket:
        socket.send(json.dumps({"type": "auth", "token": token}))

        assert json.loads(socket.recv(10))["type"] == "ready"
