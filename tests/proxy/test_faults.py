"""Every fault of a provider, plain and streamed, from both sides of the proxy.

The proxy passes a provider's bytes on unparsed: what is wrong inside an answer is for the client,
which would see the same without us. What cannot be passed on, or ends early, becomes an error of
ours.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import openai
import pytest
import requests

from proxy.models import UsageRecord
from tests import certificates, faults
from tests.fakes import FakeProvider, deltas
from tests.fakes import completion as the_answer
from tests.proxy.conftest import HISTORY, KEY, completion

Through = Callable[..., str]
Ask = Callable[..., requests.Response]
QUESTION = HISTORY[-1:]
BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)

plain_and_streamed = pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "stream"])


@pytest.fixture
def ask(http: requests.Session, through: Through) -> Ask:
    """Asks a provider that fails in a way of its own, and lets the test read the answer."""

    def ask(fault: str, *, is_streamed: bool = False) -> requests.Response:
        body = completion(QUESTION, stream=is_streamed)
        return http.post(f"{through(fault)}/chat/completions", json=body, stream=True)

    return ask


def is_ours(answer: requests.Response, status: int, code: str) -> bool:
    """Whether an answer is our own error, and tells nothing of the inside."""
    error = answer.json()["error"]
    tells = any(word in answer.text for word in ("127.0.0.1", "aiohttp", "Errno", "Error(", KEY))
    return (
        (answer.status_code, error["code"]) == (status, code)
        and error["type"] == "server_error"
        and error.keys() == {"message", "type", "code", "param"}
        and not tells
    )


def events(answer: requests.Response) -> list[bytes]:
    return [event for event in answer.content.split(b"\n\n") if event]


def code_of(event: bytes) -> str:
    return json.loads(event.removeprefix(b"data: "))["error"]["code"]


@contextlib.contextmanager
def a_port(answers: Callable[[socket.socket], None] | None) -> Iterator[int]:
    """A port on loopback; without `answers` nobody listens at it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if answers is None:
            yield listener.getsockname()[1]
            return
        thread = threading.Thread(target=answers, args=[listener], daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


class TestNoConnection:
    @pytest.fixture
    def ask_at(
        self, http: requests.Session, server: str, settings
    ) -> Callable[..., requests.Response]:
        """Asks whoever is at a URL that the operator allows."""

        def ask(url: str, *, is_streamed: bool = False) -> requests.Response:
            settings.PROXY_ALLOWED_TARGETS = [url.split("/")[2]]
            body = completion(QUESTION, stream=is_streamed)
            return http.post(f"{server}/api/v1/proxy/{url}/v1/{KEY}/chat/completions", json=body)

        return ask

    @plain_and_streamed
    def test_refused_is_502(self, ask_at, rows, is_streamed: bool):
        with a_port(None) as port:
            answer = ask_at(f"http://127.0.0.1:{port}", is_streamed=is_streamed)

        assert is_ours(answer, 502, "upstream_unreachable")
        assert str(port) not in answer.text
        assert rows()[0].outcome == UsageRecord.Outcome.REFUSED

    def test_refused_by_a_provider_that_is_just_starting_is_tried_again(self, ask_at):
        body = json.dumps(the_answer()).encode()
        head = faults.head(faults.JSON, f"Content-Length: {len(body)}")

        def late(listener: socket.socket) -> None:
            time.sleep(0.04)
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head + body)

        with a_port(late) as port:
            answer = ask_at(f"http://127.0.0.1:{port}")

        assert answer.json() == the_answer()

    @plain_and_streamed
    def test_a_name_that_does_not_exist_is_502(
        self, http: requests.Session, server: str, is_streamed: bool
    ):
        answer = http.post(
            f"{server}/api/v1/proxy/https://no-such-host.invalid/v1/{KEY}/chat/completions",
            json=completion(QUESTION, stream=is_streamed),
        )

        assert is_ours(answer, 502, "upstream_unreachable")

    @plain_and_streamed
    def test_a_certificate_that_nobody_signed_is_502(
        self, ask_at, self_signed: FakeProvider, is_streamed: bool
    ):
        answer = ask_at(self_signed.url, is_streamed=is_streamed)

        assert is_ours(answer, 502, "upstream_unreachable")
        assert "certificate" not in answer.text.lower()
        assert not self_signed.received

    def test_no_tls_where_it_should_be_is_502(self, ask_at, provider: FakeProvider):
        answer = ask_at(f"https://127.0.0.1:{provider.port}")

        assert is_ours(answer, 502, "upstream_unreachable")
        assert not provider.received

    def test_a_handshake_that_never_ends_is_504(self, ask_at, bounds):
        def silent(listener: socket.socket) -> None:
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                while connection.recv(65536):
                    pass

        with a_port(silent) as port:
            answer = ask_at(f"https://127.0.0.1:{port}")

        assert is_ours(answer, 504, "upstream_timeout")


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeProvider]:
    """A provider whose certificate is signed by itself alone."""
    context = certificates.server(tmp_path_factory.mktemp("tls"), "127.0.0.1")
    provider = FakeProvider(context)
    provider.start()
    yield provider
    provider.stop()


class TestNoAnswer:
    @plain_and_streamed
    @pytest.mark.parametrize(
        "fault", ["reset", "hang-up", "half-a-head", "not-http", "endless-header"]
    )
    def test_a_break_before_the_answer_is_502_and_the_provider_asked_once(
        self, ask: Ask, provider: FakeProvider, fault: str, is_streamed: bool
    ):
        """The request may have been acted upon, so it is for the client to ask again."""
        answer = ask(fault, is_streamed=is_streamed)

        assert is_ours(answer, 502, "upstream_unreachable")
        assert len(provider.received) == 1

    @plain_and_streamed
    def test_silence_is_504_and_the_provider_let_go(
        self, ask: Ask, provider: FakeProvider, bounds, is_streamed: bool
    ):
        answer = ask("stall", is_streamed=is_streamed)

        assert is_ours(answer, 504, "upstream_timeout")
        assert len(provider.received) == 1
        assert provider.last().is_closed.wait(2)

    @plain_and_streamed
    def test_a_redirect_is_502_and_not_followed(
        self, ask: Ask, provider: FakeProvider, is_streamed: bool
    ):
        answer = ask("redirect", is_streamed=is_streamed)

        assert is_ours(answer, 502, "upstream_unreachable")
        assert "location" not in answer.headers
        assert len(provider.received) == 1

    @plain_and_streamed
    @pytest.mark.parametrize("fault", ["gzipped", "gzipped-stream"])
    def test_an_encoding_that_nobody_asked_for_is_502(
        self, ask: Ask, provider: FakeProvider, fault: str, is_streamed: bool
    ):
        answer = ask(fault, is_streamed=is_streamed)

        assert is_ours(answer, 502, "upstream_unreachable")
        assert provider.last().headers["Accept-Encoding"] == "identity"

    def test_a_body_announced_too_large_is_502_and_not_read(self, ask: Ask, provider: FakeProvider):
        answer = ask("huge-and-says-so")

        assert is_ours(answer, 502, "upstream_unreachable")
        assert provider.last().is_closed.wait(2)


class TestABreakInMidAnswer:
    def test_ends_a_stream_with_an_error_event_and_no_done(self, ask: Ask, rows):
        answer = ask("cut", is_streamed=True)

        first, last = events(answer)
        assert first == faults.ONE.strip()
        assert code_of(last) == "upstream_unreachable"
        assert rows()[0].outcome == UsageRecord.Outcome.BROKEN

    def test_within_an_event_drops_that_event_before_the_error(
        self, ask: Ask, provider: FakeProvider
    ):
        """Half an event would be all that a client reads, and not our message."""
        answer = ask("truncated", is_streamed=True)

        whole, last = events(answer)
        assert whole == faults.ONE.strip()
        assert code_of(last) == "upstream_unreachable"
        assert len(provider.received) == 1

    def test_within_an_event_raises_our_message_in_the_openai_package(
        self, sdk: Callable[..., openai.OpenAI], through: Through
    ):
        stream = sdk(through("truncated")).chat.completions.create(
            **completion(QUESTION), stream=True
        )

        with pytest.raises(openai.APIError, match="broke off"):
            list(stream)

    def test_in_the_chunks_ends_a_stream_at_once(self, ask: Ask, provider: FakeProvider):
        """No bound is shortened here: what is no HTTP is noticed as it comes."""
        answer = ask("bad-chunk", is_streamed=True)

        first, last = events(answer)
        assert first == faults.ONE.strip()
        assert code_of(last) == "upstream_unreachable"

    @pytest.mark.parametrize("fault", ["cut", "truncated"])
    def test_cuts_a_whole_answer_too(self, ask: Ask, rows, fault: str):
        """The status has gone, and a body that ends early is what no client takes for whole."""
        answer = ask(fault)

        with pytest.raises(BROKEN):
            assert answer.content
        assert rows()[0].outcome == UsageRecord.Outcome.BROKEN

    def test_of_silence_ends_a_stream_with_a_timeout(
        self, ask: Ask, provider: FakeProvider, bounds
    ):
        first, last = events(ask("stall-after-one", is_streamed=True))

        assert first == faults.ONE.strip()
        assert code_of(last) == "upstream_timeout"
        assert provider.last().is_closed.wait(2)

    @plain_and_streamed
    def test_of_silence_after_the_head_is_no_success(
        self, ask: Ask, provider: FakeProvider, bounds, is_streamed: bool
    ):
        answer = ask("stall-after-head", is_streamed=is_streamed)

        if is_streamed:
            assert [code_of(event) for event in events(answer)] == ["upstream_timeout"]
        else:
            with pytest.raises(BROKEN):
                assert answer.content
        assert provider.last().is_closed.wait(2)


class TestWhatIsPassedOnAsItIs:
    def test_slow_drip(self, ask: Ask, bounds):
        """No comment keeps the client awake while the provider is silent: the proxy adds nothing
        between two of the provider's pieces, where half an event may stand."""
        answer = ask("drip", is_streamed=True)

        assert answer.content == b"".join(deltas()[-3:])

    def test_an_event_that_is_no_json_a_comment_and_an_unknown_event(self, ask: Ask):
        """Events are not read on their way, so none can be dropped."""
        answer = ask("malformed", is_streamed=True)

        assert faults.MALFORMED in answer.content
        assert b": still here\n\nevent: surprise\ndata: 1\n\n" + faults.TWO in answer.content
        assert answer.content.endswith(b"data: [DONE]\n\n")

    def test_a_stream_without_done(self, ask: Ask, rows):
        """What the provider did not say is not added: every client does without it."""
        answer = ask("no-done", is_streamed=True)

        assert b"DONE" not in answer.content
        assert len(events(answer)) == 3
        assert rows()[0].outcome == UsageRecord.Outcome.COMPLETE

    def test_an_error_inside_a_stream(self, sdk: Callable[..., openai.OpenAI], through: Through):
        stream = sdk(through("error-in-stream")).chat.completions.create(
            **completion(QUESTION), stream=True
        )

        assert next(stream).choices[0].delta.content == "One"
        with pytest.raises(openai.APIError) as raised:
            next(stream)
        assert (raised.value.code, raised.value.message) == ("overloaded", "Overloaded")

    @pytest.mark.parametrize(
        ("fault", "content_type", "body"),
        [
            ("bad-json", "application/json", b'{"choices": ['),
            ("html", "text/html; charset=utf-8", b"<script>alert(1)</script>"),
            ("wrong-type", "text/plain", faults.plain_body()),
        ],
    )
    def test_a_body_that_is_not_what_it_should_be(
        self, ask: Ask, fault: str, content_type: str, body: bytes
    ):
        """It is the provider's answer to the client's question; a browser does not run it."""
        answer = ask(fault)

        assert (answer.status_code, answer.content) == (200, body)
        assert answer.headers["content-type"] == content_type
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_a_stream_that_calls_itself_text(
        self, sdk: Callable[..., openai.OpenAI], through: Through
    ):
        stream = sdk(through("wrong-type")).chat.completions.create(
            **completion(QUESTION), stream=True
        )

        assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices)

    @plain_and_streamed
    @pytest.mark.parametrize(
        ("fault", "status", "told"),
        [
            ("limited", 429, {"retry-after": "7", "x-ratelimit-remaining-requests": "0"}),
            ("overloaded", 503, {"retry-after": "2", "retry-after-ms": "800"}),
            ("refuses-the-body", 413, {}),
            ("fail/400", 400, {}),
            ("fail/401", 401, {}),
            ("fail/404", 404, {}),
            ("fail/529", 529, {}),
        ],
    )
    def test_a_status_with_what_it_says_and_the_provider_asked_once(
        self,
        ask: Ask,
        provider: FakeProvider,
        fault: str,
        status: int,
        told: dict[str, str],
        is_streamed: bool,
    ):
        answer = ask(fault, is_streamed=is_streamed)

        assert answer.status_code == status
        assert answer.json()["error"].keys() >= {"message", "type", "code"}
        assert told.items() <= dict(answer.headers.lower_items()).items()
        assert "x-alchemyst-error-source" not in answer.headers
        assert len(provider.received) == 1

    def test_a_refusal_that_comes_before_the_body_was_sent(
        self, http: requests.Session, server: str, settings
    ):
        """A provider that says no to a large body at once is heard, not taken for a fault."""
        said = b'{"error": {"message": "Too large", "type": "t", "code": null}}'
        lines = (faults.JSON, f"Content-Length: {len(said)}")
        head = faults.head(*lines, status="413 Too Large")

        def hasty(listener: socket.socket) -> None:
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(head + said)
                while connection.recv(65536):
                    pass

        picture = {"type": "image_url", "image_url": {"url": "data:,".ljust(3_000_000, "x")}}
        with a_port(hasty) as port:
            settings.PROXY_ALLOWED_TARGETS = [f"127.0.0.1:{port}"]
            answer = http.post(
                f"{server}/api/v1/proxy/http://127.0.0.1:{port}/v1/{KEY}/chat/completions",
                json=completion([{"role": "user", "content": [picture]}]),
            )

        assert (answer.status_code, answer.content) == (413, said)


class TestHeaders:
    def test_that_are_meant_for_our_own_origin_or_the_next_hop_are_not_passed_on(self, ask: Ask):
        answer = ask("odd-headers")

        assert answer.json() == the_answer()
        names = {name.lower() for name in answer.headers}
        assert not names & {"set-cookie", "access-control-allow-origin", "location", "keep-alive"}
        assert answer.headers["x-alchemyst-context"] != "forged"
        assert answer.headers["x-ratelimit-remaining-tokens"] == "149984"
        assert answer.headers["openai-processing-ms"] == "17"

    def test_cannot_be_smuggled_behind_a_bare_carriage_return(
        self, leaving: Callable[..., socket.socket], through: Through
    ):
        connection = leaving(f"{through('split-header')}/chat/completions", completion(QUESTION))

        head = connection.recv(65536).split(b"\r\n\r\n")[0]

        assert b"\r" not in head.replace(b"\r\n", b"")
        assert b"\nset-cookie" not in head.lower()

    @pytest.mark.parametrize("title", ["plain", "Café ☕"])
    def test_go_up_as_the_bytes_that_came(
        self, http: requests.Session, through: Through, provider: FakeProvider, title: str
    ):
        http.post(
            f"{through()}/chat/completions",
            json=completion(QUESTION),
            headers={"X-Title": title.encode()},
        )

        assert provider.last().headers["x-title"] == title

    @plain_and_streamed
    def test_and_body_of_an_error_do_not_repeat_the_key(
        self, http: requests.Session, through: Through, provider: FakeProvider, is_streamed: bool
    ):
        key = "canary-7Zq4-secret"

        answer = http.post(
            f"{through('echo', key=key)}/chat/completions",
            json=completion(QUESTION, stream=is_streamed),
        )

        assert provider.last().headers["Authorization"] == f"Bearer {key}"
        assert answer.status_code == 401
        assert answer.json()["error"]["message"] == f"Incorrect API key provided: {'*' * 18}."
        assert key not in str(answer.headers)
        assert "www-authenticate" not in answer.headers


def resident_megabytes() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


class TestTooMuch:
    @pytest.mark.parametrize(
        ("fault", "is_streamed"), [("huge", False), ("endless-line", True), ("endless", True)]
    )
    def test_is_stopped_and_never_held(
        self, ask: Ask, provider: FakeProvider, fault: str, is_streamed: bool
    ):
        """An event has no limit of its own, as little of it is held: the answer's limit holds."""
        before, most, size, end = resident_megabytes(), 0.0, 0, b""

        with contextlib.suppress(*BROKEN, http.client.HTTPException):
            for piece in ask(fault, is_streamed=is_streamed).iter_content(None):
                size, end = size + len(piece), piece[-400:]
                most = max(most, resident_megabytes())

        assert 40_000_000 < size < 60_000_000
        assert most - before < 50
        assert (b'"upstream_unreachable"' in end) == is_streamed
        assert provider.last().is_closed.wait(2)
