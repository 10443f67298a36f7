"""Connections to providers: kept, given back, and ended by whatever is not HTTP/1.1."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from proxy.upstream import pool
from proxy.upstream.http1 import head_of
from tests import certificates
from tests.fakes import completion as the_answer
from tests.proxy.conftest import HISTORY, KEY, completion

BODY = json.dumps(the_answer()).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SIZED = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"x" * 1024 * 1024
BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)

Serve = Callable[[socket.socket, int], None]


class Provider:
    """Accepts connections and answers each request on them by `answer(connection, its number)`."""

    def __init__(self, answer: Serve, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.tls = tls
        self.connections = 0
        self.requests = 0
        self.hung_up = threading.Event()
        """Set when the proxy closed a connection."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            reader = stack.enter_context(connection.makefile("rb"))
            for number in itertools.count(1):
                if not _read_request(reader):
                    break
                self.requests += 1
                self.answer(connection, number)
        self.hung_up.set()


def _read_request(reader) -> bool:
    length, line = 0, reader.readline()
    if not line:
        return False
    while (line := reader.readline().lower()) != b"\r\n":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return len(reader.read(length)) == length


def saying(*pieces: bytes, then_closes: bool = False) -> Serve:
    """Answer every request with the same bytes."""

    def answer(connection: socket.socket, number: int) -> None:
        for piece in pieces:
            connection.sendall(piece)
        if then_closes:
            connection.shutdown(socket.SHUT_RDWR)

    return answer


@pytest.fixture
def served(settings) -> Iterator[Callable[..., Provider]]:
    """Starts a provider that the operator allows."""
    started: list[Provider] = []

    def start(answer: Serve, tls: ssl.SSLContext | None = None) -> Provider:
        started.append(Provider(answer, tls))
        settings.PROXY_ALLOWED_TARGETS = [f"127.0.0.1:{each.port}" for each in started]
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def ask(http: requests.Session, server: str) -> Callable[..., requests.Response]:
    """Asks for a completion; a stream of it where the body says so."""

    def post(provider: Provider, **more: object) -> requests.Response:
        url = f"{server}/api/v1/proxy/{provider.url}/v1/{KEY}/chat/completions"
        return http.post(url, json=completion(HISTORY[-1:], **more))

    return post


@pytest.fixture
def models(http: requests.Session, server: str) -> Callable[[Provider], requests.Response]:
    """Asks for the list of models."""

    def get(provider: Provider) -> requests.Response:
        return http.get(f"{server}/api/v1/proxy/{provider.url}/v1/{KEY}/models")

    return get


class TestAKeptConnection:
    def test_serves_one_call_after_the_other(self, served, ask, models):
        provider = served(saying(SIZED + BODY))

        answers = [ask(provider), ask(provider), models(provider)]

        assert [answer.json() for answer in answers] == [the_answer()] * 3
        assert (provider.connections, provider.requests) == (1, 3)

    def test_is_not_kept_where_the_provider_says_close(self, served, ask):
        head = SIZED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        provider = served(saying(head + BODY))

        assert [ask(provider).status_code for _ in range(2)] == [200, 200]
        assert provider.connections == 2

    def test_that_the_provider_ends_meanwhile_is_replaced(self, served, ask):
        provider = served(saying(SIZED + BODY, then_closes=True))

        for _ in range(3):
            assert ask(provider).json() == the_answer()
            time.sleep(0.05)

        assert (provider.connections, provider.requests) == (3, 3)

    def test_is_let_go_after_a_while(self, served, ask, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(pool, "PLAINTEXT_KEEPALIVE_SECONDS", 0.1)
        monkeypatch.setattr(pool, "SWEEP_SECONDS", 0.1)
        provider = served(saying(SIZED + BODY))

        ask(provider)

        assert provider.hung_up.wait(5)

    def test_is_let_go_before_the_provider_would(self, served, ask):
        head = SIZED.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1, max=100\r\n\r\n")
        provider = served(saying(head + BODY))

        assert [ask(provider).status_code for _ in range(2)] == [200, 200]
        assert provider.connections == 2

    def test_that_ends_as_it_is_asked_costs_a_completion_its_answer(self, served, ask):
        """The request may have been acted upon, so it is for the client to send it again."""
        provider = served(_ends_at_the_second)

        assert ask(provider).status_code == 200
        assert ask(provider).json()["error"]["code"] == "upstream_unreachable"
        assert provider.requests == 2

    def test_that_ends_as_it_is_asked_is_replaced_for_a_list_of_models(self, served, ask, models):
        provider = served(_ends_at_the_second)

        assert ask(provider).status_code == 200
        assert models(provider).status_code == 200
        assert (provider.connections, provider.requests) == (2, 3)

    @pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", b"bad"])
    def test_is_not_kept_where_more_came_than_was_asked_for(self, served, ask, more: bytes):
        """What one caller is told must not be another's answer."""
        provider = served(saying(SIZED + BODY + more))

        assert [ask(provider).json() for _ in range(2)] == [the_answer()] * 2
        assert provider.connections == 2

    def test_serves_on_after_an_answer_without_a_body(self, served, ask):
        provider = served(saying(b"HTTP/1.1 204 No Content\r\n\r\n"))

        assert [ask(provider).status_code for _ in range(2)] == [204, 204]
        assert provider.connections == 1

    def test_serves_on_after_a_length_that_is_of_no_body(self, served, models):
        provider = served(saying(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"))

        assert [models(provider).status_code for _ in range(2)] == [304, 304]
        assert provider.connections == 1


def _ends_at_the_second(connection: socket.socket, number: int) -> None:
    if number == 1:
        connection.sendall(SIZED + BODY)
    else:
        connection.shutdown(socket.SHUT_RDWR)


class TestAnAnswer:
    def test_comes_after_interim_ones(self, served, ask):
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        provider = served(saying(interim, interim + SIZED, BODY))

        answer = ask(provider)

        assert answer.json() == the_answer()
        assert "link" not in answer.headers
        assert ask(provider).status_code == 200
        assert provider.connections == 1

    def test_without_a_length_lasts_until_the_connections_end(self, served, ask, rows):
        provider = served(saying(HEAD + b"\r\n", BODY[:20], BODY[20:], then_closes=True))

        assert ask(provider).json() == the_answer()
        assert rows()[0].outcome == "complete"

    def test_in_chunks_may_have_trailers(self, served, ask):
        chunks = b"%x;name=value\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(BODY), BODY)
        provider = served(saying(CHUNKED + chunks))

        answers = [ask(provider) for _ in range(2)]

        assert [answer.json() for answer in answers] == [the_answer()] * 2
        assert "x-trailer" not in answers[0].headers
        assert provider.connections == 1

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + BODY,
            b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nX-A: 1\0\r\nContent-Length: 2\r\n\r\nab",
        ],
    )
    def test_that_is_no_http_is_502(self, served, ask, raw: bytes):
        answer = ask(served(saying(raw)))

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")

    @pytest.mark.parametrize(
        "endless",
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 90_000],
        ids=["interim answers", "headers"],
    )
    def test_whose_head_never_ends_is_502(self, served, ask, endless: bytes):
        provider = served(saying(*[endless] * 8))

        assert ask(provider).status_code == 502
        assert provider.hung_up.wait(2)

    @pytest.mark.parametrize(
        "endless", [b"5;" + MEGABYTE, b"0\r\nX-T: " + MEGABYTE], ids=["extension", "trailer"]
    )
    def test_that_goes_on_without_a_body_is_cut(self, served, ask, endless: bytes):
        provider = served(saying(CHUNKED + b"2\r\nab\r\n" + endless, MEGABYTE, MEGABYTE))

        with pytest.raises(BROKEN):
            ask(provider)
        assert provider.hung_up.wait(2)

    def test_is_read_no_faster_than_the_client_reads_it(self, served, leaving, server: str):
        sent = 0

        def offer(connection: socket.socket, number: int) -> None:
            nonlocal sent
            connection.sendall(HEAD + b"\r\n")
            while True:
                sent += connection.send(MEGABYTE)

        provider = served(offer)
        url = f"{server}/api/v1/proxy/{provider.url}/v1/{KEY}/chat/completions"

        client = leaving(url, completion(HISTORY[-1:]))
        time.sleep(1)

        # What the sockets on both sides hold is of megabytes by itself.
        assert 0 < sent < 24 * len(MEGABYTE)
        client.close()
        assert provider.hung_up.wait(2)


class TestOverTls:
    @pytest.fixture
    def trusted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A folder whose certificates the proxy trusts for as long as the test runs."""
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        pool.tls.cache_clear()
        yield tmp_path
        pool.tls.cache_clear()

    def test_a_provider_is_asked_under_its_name(self, served, ask, trusted: Path):
        provider = served(saying(SIZED + BODY), certificates.server(trusted, "127.0.0.1"))

        assert [ask(provider).json() for _ in range(2)] == [the_answer()] * 2
        assert provider.connections == 1

    def test_the_certificate_of_another_name_is_502(self, served, ask, trusted: Path):
        provider = served(saying(SIZED + BODY), certificates.server(trusted, "127.0.0.2"))

        answer = ask(provider)

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert provider.requests == 0


class TestARequest:
    @pytest.mark.parametrize(
        ("path", "header"),
        [
            (b"/v1 HTTP/1.1\r\nX-A: 1", (b"a", b"1")),
            (b"/v1 HTTP/1.0", (b"a", b"1")),
            (b"/v1", (b"a", b"1\r\nx-b: 2")),
            (b"/v1", (b"a", b"1\nx-b: 2")),
            (b"/v1", (b"a", b"1\rx-b: 2")),
            (b"/v1", (b"a\r\nx-b", b"1")),
            (b"/v1", (b"a", b"1\0")),
        ],
    )
    def test_never_has_a_line_more_than_meant(self, path: bytes, header: tuple[bytes, bytes]):
        with pytest.raises(ValueError, match="a part of the request"):
            head_of("POST", path, b"api.example.com", [header], 2)

    def test_keeps_an_encoded_line_end_encoded(self, http, through, provider):
        http.post(f"{through()}%0d%0aX-A:%201/chat/completions", json=completion(HISTORY[-1:]))

        assert not provider.received or "x-a" not in {
            name.lower() for name in provider.last().headers
        }
