"""Bodies go up piece by piece, at their sender's pace and the provider's, and are never held."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests import nginx
from tests.proxy.conftest import KEY
from tests.proxy.raw import OK, RawProvider, Serve, read_head, read_until

CHUNK = b"x" * 65536
MEGABYTE = 1024 * 1024
TOO_LARGE = (
    b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
    b'{"error": "too big"}'
)
Serving = Callable[[Serve], str]
Open = Callable[..., socket.socket]

pytestmark = pytest.mark.not_behind(
    *nginx.WAYS, reason="nginx has times, buffers and a way to answer early of its own"
)


@pytest.fixture
def serving(server: str, settings) -> Iterator[Serving]:
    """Starts a provider, and returns the URL by which it is reached through the proxy."""
    started: list[RawProvider] = []

    def start(serve: Serve) -> str:
        started.append(RawProvider(serve))
        settings.PROXY_ALLOWED_TARGETS = [started[-1].address]
        return f"{server}/api/v1/proxy/{started[-1].url}/v1/files"

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def opened(token: str) -> Iterator[Open]:
    """Sends the head of a request on a bare socket, and leaves its body to the test."""
    connections: list[socket.socket] = []

    def send(url: str, *headers: str, bearer: str = token) -> socket.socket:
        parts = urlsplit(url)
        connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
        lines = [
            f"POST {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Authorization: Bearer {bearer}",
            f"X-Upstream-Api-Key: {KEY}",
            *headers,
        ]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        connections.append(connection)
        return connection

    yield send
    for each in connections:
        each.close()


def send_all_that_is_taken(client: socket.socket) -> int:
    """Send until nobody takes more for a second, and return how many bytes it was."""
    sent = 0
    client.settimeout(1)
    with contextlib.suppress(OSError):
        while sent < 100 * MEGABYTE:
            sent += client.send(CHUNK)
    client.settimeout(20)
    return sent


class Seen:
    """What a provider has seen of a request, for the test to wait for."""

    def __init__(self) -> None:
        self.head = self.body = b""
        self.has_first = threading.Event()
        self.may_answer = threading.Event()
        self.is_over = threading.Event()

    def take(self, connection: socket.socket) -> None:
        """Read to the end of the connection, or until the body's last bytes."""
        self.head, self.body = read_head(connection)
        while not self.body.endswith(b"END") and b"\r\n0\r\n\r\n" not in self.body:
            if self.body:
                self.has_first.set()
            piece = connection.recv(65536)
            if not piece:
                self.is_over.set()
                return
            self.body += piece
        connection.sendall(OK)
        self.is_over.set()


class TestABody:
    def test_is_at_the_provider_before_it_has_all_come(self, serving: Serving, opened: Open):
        seen = Seen()
        client = opened(serving(seen.take), "Content-Length: 8")

        client.sendall(b"First")
        assert seen.has_first.wait(10)
        client.sendall(b"END")

        assert read_until(client, b"{}").startswith(b"HTTP/1.1 200")
        assert seen.body == b"FirstEND"
        assert b"content-length: 8" in seen.head.lower()
        assert b"transfer-encoding" not in seen.head.lower()

    def test_that_comes_in_chunks_goes_up_in_chunks(self, serving: Serving, opened: Open):
        seen = Seen()
        client = opened(serving(seen.take), "Transfer-Encoding: chunked")

        client.sendall(b"5\r\nFirst\r\n")
        assert seen.has_first.wait(10)
        client.sendall(b"3\r\nmid\r\n0\r\n\r\n")

        assert read_until(client, b"{}").startswith(b"HTTP/1.1 200")
        assert seen.body == b"5\r\nFirst\r\n3\r\nmid\r\n0\r\n\r\n"
        assert b"transfer-encoding: chunked" in seen.head.lower()
        assert b"content-length" not in seen.head.lower()

    def test_with_trailers_leaves_the_headers_as_they_were(self, serving: Serving, opened: Open):
        seen = Seen()
        # All of it arrives at once, before anybody has looked at the headers.
        body = "3\r\nEND\r\n0\r\nAuthorization: Bearer other\r\nAnthropic-Beta: trailer"
        client = opened(serving(seen.take), f"Transfer-Encoding: chunked\r\n\r\n{body}")

        assert read_until(client, b"{}").startswith(b"HTTP/1.1 200")
        assert b"anthropic-beta" not in seen.head.lower()

    def test_of_many_megabytes_arrives_whole(self, http: requests.Session, serving: Serving):
        sizes: list[int] = []

        def count(connection: socket.socket) -> None:
            _, first = read_head(connection)
            sizes.append(len(first))
            while sizes[0] < 40 * MEGABYTE:
                sizes[0] += len(connection.recv(1024 * 1024))
            connection.sendall(OK)

        pieces = (CHUNK for _ in range(40 * MEGABYTE // len(CHUNK)))
        headers = {"X-Upstream-Api-Key": KEY, "Content-Length": str(40 * MEGABYTE)}
        request = requests.Request("POST", serving(count), headers=headers)
        prepared = http.prepare_request(request)
        prepared.body = pieces  # type: ignore[assignment]

        assert http.send(prepared).json() == {}
        assert sizes == [40 * MEGABYTE]

    def test_waits_at_its_sender_while_the_provider_takes_none(
        self, serving: Serving, opened: Open
    ):
        seen = Seen()

        def hold(connection: socket.socket) -> None:
            read_head(connection)
            seen.may_answer.wait(20)

        client = opened(serving(hold), f"Content-Length: {512 * MEGABYTE}")

        sent = send_all_that_is_taken(client)
        seen.may_answer.set()

        assert sent < 30 * MEGABYTE

    def test_may_be_slower_than_the_provider(self, serving: Serving, opened: Open, settings):
        settings.PROXY_FIRST_BYTE_TIMEOUT = settings.PROXY_IDLE_TIMEOUT = 0.2
        seen = Seen()
        client = opened(serving(seen.take), "Content-Length: 8")

        client.sendall(b"First")
        assert not seen.is_over.wait(0.6)
        client.sendall(b"END")

        assert read_until(client, b"{}").startswith(b"HTTP/1.1 200")

    def test_that_goes_on_coming_may_take_longer_than_a_small_one(
        self, serving: Serving, opened: Open, settings
    ):
        settings.REQUEST_BODY_SECONDS = 0.3
        seen = Seen()
        client = opened(serving(seen.take), "Content-Length: 65539")

        client.sendall(CHUNK)
        assert not seen.is_over.wait(0.6)
        client.sendall(b"END")

        assert read_until(client, b"{}").startswith(b"HTTP/1.1 200")

    def test_that_stops_coming_is_408_and_ends_at_the_provider(
        self, serving: Serving, opened: Open, settings
    ):
        settings.REQUEST_BODY_IDLE_SECONDS = 0.3
        seen = Seen()
        client = opened(serving(seen.take), "Content-Length: 8")

        client.sendall(b"First")

        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 408")
        assert seen.is_over.wait(10)
        assert seen.body == b"First"

    def test_that_is_none_has_a_length_where_servers_want_one(self, serving: Serving, opened: Open):
        heads: list[bytes] = []

        def take(connection: socket.socket) -> None:
            heads.append(read_head(connection)[0].lower())
            connection.sendall(OK)

        assert read_until(opened(serving(take)), b"{}").startswith(b"HTTP/1.1 200")
        assert b"content-length: 0" in heads[0]


class TestAProvider:
    def test_that_answers_early_is_heard_and_gets_no_more(self, serving: Serving, opened: Open):
        seen = Seen()

        def refuse(connection: socket.socket) -> None:
            read_until(connection, b"First")
            connection.sendall(TOO_LARGE)
            if not connection.recv(65536):
                seen.is_over.set()

        client = opened(serving(refuse), f"Content-Length: {100 * MEGABYTE}")
        client.sendall(b"First")

        answer = read_until(client, b"too big")
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"x-alchemyst-error-source" not in answer
        assert seen.is_over.wait(10)

    def test_that_hangs_up_is_502(self, serving: Serving, opened: Open):
        client = opened(serving(lambda connection: None), f"Content-Length: {100 * MEGABYTE}")

        with contextlib.suppress(OSError):
            client.sendall(CHUNK)

        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 502")

    def test_that_takes_no_more_is_504(self, serving: Serving, opened: Open, settings):
        settings.PROXY_IDLE_TIMEOUT = 0.5
        seen = Seen()

        def hold(connection: socket.socket) -> None:
            read_head(connection)
            seen.may_answer.wait(20)

        client = opened(serving(hold), f"Content-Length: {100 * MEGABYTE}")
        send_all_that_is_taken(client)

        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 504")
        seen.may_answer.set()

    def test_has_its_time_from_the_bodys_end_on(self, serving: Serving, opened: Open, settings):
        settings.PROXY_FIRST_BYTE_TIMEOUT = 0.5
        seen = Seen()

        def stay_silent(connection: socket.socket) -> None:
            read_until(connection, b"END")
            seen.may_answer.wait(20)

        client = opened(serving(stay_silent), "Content-Length: 8")
        client.sendall(b"First")
        client.sendall(b"END")

        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 504")
        seen.may_answer.set()


class TestASender:
    def test_that_leaves_ends_the_upload(self, serving: Serving, opened: Open, rows):
        seen = Seen()
        client = opened(serving(seen.take), "Content-Length: 1000")
        client.sendall(b"First")
        assert seen.has_first.wait(10)

        client.close()

        assert seen.is_over.wait(10)
        assert seen.body == b"First"

    def test_that_leaves_after_its_body_is_noticed_too(self, serving: Serving, opened: Open):
        seen = Seen()

        def stay_silent(connection: socket.socket) -> None:
            read_until(connection, b"END")
            seen.has_first.set()
            if not connection.recv(1):
                seen.is_over.set()

        client = opened(serving(stay_silent), "Content-Length: 8")
        client.sendall(b"First")
        client.sendall(b"END")
        assert seen.has_first.wait(10)

        client.close()

        assert seen.is_over.wait(10)

    def test_whose_token_is_refused_is_told_before_the_body(self, serving: Serving, opened: Open):
        seen = Seen()

        client = opened(serving(seen.take), "Content-Length: 1000", bearer="alk_none")

        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 401")
        assert not seen.head

    def test_who_says_it_is_too_large_is_told_before_the_body(
        self, serving: Serving, opened: Open, settings
    ):
        settings.PROXY_MAX_UPLOAD = 999
        seen = Seen()

        client = opened(serving(seen.take), "Content-Length: 1000")

        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 413")
        assert not seen.head

    def test_who_sends_more_than_allowed_ends_the_upload(
        self, serving: Serving, opened: Open, settings
    ):
        settings.PROXY_MAX_UPLOAD = 8
        seen = Seen()
        client = opened(serving(seen.take), "Transfer-Encoding: chunked")

        client.sendall(b"5\r\nFirst\r\n")
        assert seen.has_first.wait(10)
        client.sendall(b"5\r\nagain\r\n")

        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 413")
        assert seen.is_over.wait(10)
        assert b"again" not in seen.body
