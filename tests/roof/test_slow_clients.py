"""Clients that send slowly, or nothing: how long they may, and that they lock nobody out."""

from __future__ import annotations

import json
import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import LazySettings

from alchemyst.web.connections import LEAST_CONNECTIONS
from tests import nginx
from tests.chats.processes import Installation, database
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

pytestmark = pytest.mark.skipif(bool(nginx.BEHIND), reason="nginx has clocks of its own")

HALF_A_HEAD = b"POST /api/v1/proxy/default/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
PATHS = ["/api/v1/proxy/default/chat/completions", "/api/v1/chat", "/api/v1/chat/new"]
# Of a test in which a clock must run out, and of one in which none may.
SOON, NEVER = 0.3, 60.0


@pytest.fixture
def clocks(settings: LazySettings) -> Callable[..., None]:
    """Set the clocks: those that are named run out soon."""

    def set_clocks(*soon: str) -> None:
        for name in ("HEAD", "BODY", "BODY_IDLE"):
            setattr(settings, f"REQUEST_{name}_SECONDS", SOON if name in soon else NEVER)

    return set_clocks


class RawClient:
    """A connection of which each byte is ours."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=30)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_if_open(self, data: bytes) -> None:
        """Send, unless the server has closed the connection meanwhile, for another."""
        with suppress(ConnectionError):
            self.send(data)

    def drip(self, byte: bytes) -> bytes:
        """Send a byte again and again, until there is an answer; return all of it."""
        while not select.select([self.socket], [], [], 0.02)[0]:
            self.send(byte)
        return self.rest()

    def rest(self) -> bytes:
        """Return what comes until the connection is closed by the server."""
        answer = b""
        # A reset is an end as well.
        with suppress(ConnectionResetError):
            while piece := self.socket.recv(65536):
                answer += piece
        return answer

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed it, after whatever it sent."""
        try:
            while select.select([self.socket], [], [], 0)[0]:
                if not self.socket.recv(65536):
                    return True
        except ConnectionResetError:
            return True
        return False


@pytest.fixture
def connect(server: str) -> Iterator[Callable[[], RawClient]]:
    with ExitStack() as opened:

        def make() -> RawClient:
            client = RawClient(server)
            opened.enter_context(client.socket)
            return client

        yield make


def head(path: str, token: str = "", *, length: int = 1_000_000) -> bytes:
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    return (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\n{authorization}"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


class TestAHead:
    def test_that_does_not_begin_closes_the_connection(self, connect, clocks):
        clocks("HEAD")

        assert connect().rest() == b""

    def test_that_does_not_end_is_refused(self, connect, clocks):
        clocks("HEAD")
        client = connect()
        client.send(HALF_A_HEAD)

        assert client.rest().startswith(b"HTTP/1.1 408 ")

    def test_that_comes_a_byte_at_a_time_is_refused_all_the_same(self, connect, clocks):
        clocks("HEAD")
        client = connect()
        client.send(HALF_A_HEAD + b"x-slow: ")

        assert client.drip(b"a").startswith(b"HTTP/1.1 408 ")

    def test_that_is_whole_may_be_followed_by_another(self, connect, clocks):
        clocks()
        client = connect()
        for _ in range(3):
            client.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert client.socket.recv(65536).startswith(b"HTTP/1.1 200 ")

    def test_is_not_put_off_by_blank_lines(self, connect, clocks):
        clocks("HEAD")
        client = connect()
        client.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.socket.recv(65536).startswith(b"HTTP/1.1 200 ")

        assert client.drip(b"\r\n") == b""


class TestABody:
    @pytest.mark.parametrize("path", PATHS)
    def test_that_is_promised_and_does_not_come_is_refused(
        self, connect, clocks, token: str, path: str
    ):
        clocks("BODY_IDLE")
        client = connect()
        client.send(head(path, token))

        answer = client.rest()

        assert answer.startswith(b"HTTP/1.1 408 ")
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert "did not arrive in time" in str(body)
        assert ("request_timeout" in str(body)) == ("proxy" in path)

    @pytest.mark.parametrize("path", PATHS)
    def test_that_comes_a_byte_at_a_time_is_refused_in_the_end(
        self, connect, clocks, token: str, path: str
    ):
        clocks("BODY")
        client = connect()
        client.send(head(path, token))

        assert client.drip(b" ").startswith(b"HTTP/1.1 408 ")

    def test_that_nobody_reads_holds_nothing(self, connect, clocks):
        clocks("HEAD")
        client = connect()
        client.send(head(PATHS[0]))

        assert client.drip(b" ").startswith(b"HTTP/1.1 401 ")

    def test_in_pieces_is_answered(self, connect, clocks, token: str):
        clocks()
        body = json.dumps({"messages": [{"role": "user", "content": "Tea?"}]}).encode()
        client = connect()
        client.send(head("/api/v1/chat/new", token, length=len(body)))
        for byte in body:
            client.send(bytes([byte]))

        assert client.socket.recv(65536).startswith(b"HTTP/1.1 201 ")


class TestConnections:
    @pytest.fixture(params=["MAX_CONNECTIONS", "MAX_CONNECTIONS_OF_ADDRESS"])
    def most(self, request: pytest.FixtureRequest, settings: LazySettings, clocks) -> int:
        """So many may be open, by one bound or the other."""
        clocks()
        setattr(settings, request.param, LEAST_CONNECTIONS)
        return LEAST_CONNECTIONS

    @pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, head(PATHS[0])], ids=["", "head", "body"])
    def test_that_only_wait_make_room_for_one_that_asks(
        self, most: int, connect, server: str, sent: bytes
    ):
        waiting = [connect() for _ in range(3 * most)]
        for each in waiting:
            each.send_if_open(sent)

        assert requests.get(f"{server}/healthz", timeout=30).ok
        assert sum(not each.is_closed for each in waiting) <= most

    def test_that_are_answered_are_never_cut_for_another(
        self,
        most: int,
        connect,
        server: str,
        provider: FakeProvider,
        token: str,
        settings: LazySettings,
    ):
        settings.PROXY_MAX_CONCURRENT = 0
        body = json.dumps(completion(HISTORY[-1:])).encode()
        path = f"/api/v1/proxy/{provider.url}/stall/v1/sk-1/chat/completions"
        answered = []
        for _ in range(most):
            client = connect()
            client.send(head(path, token, length=len(body)) + body)
            answered.append(client)
            provider.wait_for_a_request()
            provider.received.clear()

        refused = connect().rest()

        assert refused.startswith(b"HTTP/1.1 503 ")
        assert not any(client.is_closed for client in answered)


class TestAUser:
    def test_follows_so_many_answers_at_once(
        self, server: str, http: requests.Session, settings: LazySettings, shipped, provider
    ):
        settings.PROXY_MAX_CONCURRENT = 1
        settings.C1_BASE_URL, settings.PROXY_ALLOWED_TARGETS = (
            f"{provider.url}/stall/v1",
            [f"127.0.0.1:{provider.port}"],
        )
        body = {"chat_history": [{"role": "user", "content": "Tea?"}]}
        url = f"{server}/api/v1/chat/generate/stream"

        with http.post(url, json=body, stream=True) as first:
            next(first.iter_content(None))
            second = http.post(url, json=body)

        assert second.status_code == 429
        assert "under way" in second.json()["message"]


@pytest.mark.slow
def test_a_process_with_few_descriptors_serves_whoever_asks(
    tmp_path: Path, the_provider: FakeProvider
):
    with database() as environment:
        installation = Installation(tmp_path, the_provider, **environment)
        with installation.servers(1) as (server,), ExitStack() as opened:
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (256, 256))
            for _ in range(400):
                client = RawClient(server.url)
                opened.enter_context(client.socket)
                client.send_if_open(head(PATHS[0], installation.key))

            answer = installation.http().get(f"{server.url}/api/v1/chat/history", timeout=30)

    assert answer.status_code == 200
