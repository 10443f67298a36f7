"""Compressed bodies: of requests, and of answers that a provider compresses unasked."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from aiohttp import web

from proxy.common.web.content_encoding import BrokenEncoding, DecodedTooLarge, decoded
from tests import gemini
from tests.fakes import USAGE, FakeProvider, Received, deltas
from tests.fakes import completion as the_answer
from tests.gemini import Ask
from tests.proxy.conftest import CONTENTS, HISTORY, completion

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

QUESTION = HISTORY[-1:]
MEGABYTE = 1024 * 1024
Post = Callable[..., requests.Response]
Compress = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    """Deflate without zlib's frame, as many send it."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


# By the name of each way: what the header says, and what makes the bytes.
WAYS: dict[str, tuple[str, Compress]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "zstd": ("ZSTD", zstd.compress),
}
every_way = pytest.mark.parametrize("way", WAYS)
three_ways = pytest.mark.parametrize("way", ["gzip", "deflate", "zstd"])


@pytest.fixture
def post(http: requests.Session, through: Callable[..., str]) -> Post:
    """Asks the provider with bytes that are said to have an encoding."""

    def send(body: bytes, encoding: str, behaviour: str = "") -> requests.Response:
        url = f"{through(behaviour)}/chat/completions"
        return http.post(url, data=body, headers={"Content-Encoding": encoding})

    return send


def sent_of(provider: FakeProvider) -> dict[str, str]:
    return {name.lower(): value for name, value in provider.last().headers.items()}


class TestARequest:
    @every_way
    def test_is_read_filtered_and_sent_on_decoded(
        self, post: Post, provider: FakeProvider, rows, way: str
    ):
        encoding, compress = WAYS[way]

        answer = post(compress(json.dumps(completion()).encode()), encoding)

        assert answer.status_code == 200
        assert provider.last().json["messages"] == HISTORY[:2] + HISTORY[4:]
        assert "content-encoding" not in sent_of(provider)
        (row,) = rows()
        assert (row.filtering, row.messages_before) == ("filtered", 7)

    @three_ways
    def test_that_is_large_comes_through_byte_for_byte(
        self, post: Post, provider: FakeProvider, way: str
    ):
        encoding, compress = WAYS[way]
        picture = {"type": "image_url", "image_url": {"url": "data:" + "A" * 3 * MEGABYTE}}
        body = json.dumps(completion([{"role": "user", "content": [picture]}])).encode()

        assert post(compress(body), encoding).status_code == 200
        assert provider.last().body == body

    def test_said_to_be_what_it_is_passes(self, post: Post, provider: FakeProvider):
        body = json.dumps(completion(QUESTION)).encode()

        assert post(body, "identity").status_code == 200
        assert provider.last().body == body

    @every_way
    def test_that_becomes_too_large_is_413(
        self, post: Post, provider: FakeProvider, settings, way: str
    ):
        settings.PROXY_MAX_BODY = MEGABYTE
        encoding, compress = WAYS[way]

        answer = post(compress(b" " * 4 * MEGABYTE), encoding)

        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
        assert not provider.received

    @pytest.mark.parametrize("encoding", ["br", "compress", "gzip, zstd", "aes128gcm", "é"])
    def test_of_an_unknown_encoding_is_415_and_says_which_are_known(
        self, post: Post, provider: FakeProvider, encoding: str
    ):
        answer = post(b"whatever", encoding)

        assert answer.status_code == 415
        assert answer.json()["error"]["code"] == "unsupported_encoding"
        assert "gzip, deflate or zstd" in answer.json()["error"]["message"]
        assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"
        assert not provider.received

    @every_way
    @pytest.mark.parametrize("fault", ["other bytes", "cut", "more behind it", "empty"])
    def test_that_is_not_what_it_says_is_400_in_words(
        self, post: Post, provider: FakeProvider, way: str, fault: str
    ):
        encoding, compress = WAYS[way]
        whole = compress(json.dumps(completion(QUESTION)).encode())
        body = {
            "other bytes": b'{"model": "m"}',
            "cut": whole[:-5],
            "more behind it": whole + b"{}",
            "empty": b"",
        }[fault]

        answer = post(body, encoding)

        assert answer.status_code == 400
        assert "Content-Encoding" in answer.json()["error"]["message"]
        assert not provider.received

    def test_in_geminis_dialect_has_errors_of_its_shape(
        self, ask_gemini: Ask, provider: FakeProvider
    ):
        headers = {"x-goog-api-key": gemini.KEY, "Content-Encoding": "br"}

        answer = ask_gemini(b"x", headers=headers)

        assert answer.status_code == 415
        assert answer.json()["error"]["code"] == 415

    def test_is_previewed_as_well(self, http: requests.Session, server: str):
        body = zstd.compress(json.dumps(completion()).encode())
        headers = {"Content-Encoding": "zstd"}

        answer = http.post(f"{server}/api/v1/proxy/preview", data=body, headers=headers)

        assert len(answer.json()["messages"]) == 7

    def test_passes_unread_with_its_header(self, ask_gemini: Ask, provider: FakeProvider):
        body = gzip.compress(json.dumps({"contents": CONTENTS}).encode())
        headers = {"x-goog-api-key": gemini.KEY, "Content-Encoding": "gzip"}

        ask_gemini(body, "countTokens", headers=headers)

        # The provider's server decodes a body that has the header, so the header tells of both.
        assert sent_of(provider)["content-encoding"] == "gzip"
        assert sent_of(provider)["content-length"] == str(len(body))
        assert provider.last().json == {"contents": CONTENTS}


class TestABomb:
    """A few bytes that decode to many."""

    @every_way
    def test_takes_no_more_memory_than_is_allowed(self, way: str):
        bomb = WAYS[way][1](b" " * 64 * MEGABYTE)
        tracemalloc.start()
        try:
            with pytest.raises(DecodedTooLarge):
                decoded(bomb, WAYS[way][0].lower().removeprefix("x-"), MEGABYTE)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert most < 8 * MEGABYTE

    def test_of_a_huge_window_is_refused(self):
        options = {zstd.CompressionParameter.window_log: 27}
        compressor = zstd.ZstdCompressor(options=options)
        body = compressor.compress(b"x" * MEGABYTE) + compressor.flush()

        with pytest.raises(BrokenEncoding):
            decoded(body, "zstd", 32 * MEGABYTE)


def compressing(pieces: list[bytes], way: str) -> Iterator[bytes]:
    """Compress each piece so that it can be decoded as soon as it has come."""
    if way == "zstd":
        stream: Any = zstd.ZstdCompressor()
        flush, finish = stream.FLUSH_BLOCK, stream.FLUSH_FRAME
    else:
        stream = zlib.compressobj(wbits=zlib.MAX_WBITS + (16 if way == "gzip" else 0))
        flush, finish = zlib.Z_SYNC_FLUSH, zlib.Z_FINISH
    for piece in pieces:
        yield stream.compress(piece) + stream.flush(flush)
    yield stream.flush(finish)


class TestAnAnswer:
    @pytest.fixture
    def answers(self, provider: FakeProvider) -> Callable[..., None]:
        """Has the provider send these bytes at `compressed`, and hang up where it shall."""

        def answer_with(
            pieces: list[bytes],
            encoding: str,
            kind: str = "application/json",
            *,
            status: int = 200,
            is_cut: bool = False,
        ) -> None:
            async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
                headers = {"content-type": kind, "content-encoding": encoding}
                response = web.StreamResponse(status=status, headers=headers)
                await response.prepare(request)
                for piece in pieces:
                    await response.write(piece)
                if is_cut:
                    assert request.transport is not None
                    request.transport.abort()
                return response

            provider.behaviours["compressed"] = behaviour

        return answer_with

    @pytest.fixture
    def ask(self, http: requests.Session, through: Callable[..., str]) -> Post:
        def send(**more: Any) -> requests.Response:
            url = f"{through('compressed')}/chat/completions"
            return http.post(url, json=completion(QUESTION, **more), stream=True)

        return send

    @every_way
    def test_comes_down_decoded_with_its_usage(self, answers, ask: Post, rows, way: str):
        encoding, compress = WAYS[way]
        body = json.dumps(the_answer()).encode()
        answers([compress(body)], encoding)

        answer = ask()

        assert answer.status_code == 200
        assert answer.raw.read() == body
        assert "content-encoding" not in answer.headers
        (row,) = rows()
        assert (row.outcome, row.prompt_tokens) == ("complete", USAGE["prompt_tokens"])

    @three_ways
    def test_of_a_stream_comes_event_by_event(self, answers, ask: Post, rows, way: str):
        answers(list(compressing(deltas(), way)), way, "text/event-stream")

        answer = ask(stream=True)

        assert answer.raw.read() == b"".join(deltas())
        (row,) = rows()
        assert (row.outcome, row.prompt_tokens) == ("complete", USAGE["prompt_tokens"])

    @three_ways
    def test_of_a_stream_does_not_wait_for_its_end(
        self, provider: FakeProvider, ask: Post, way: str
    ):
        async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
            headers = {"content-type": "text/event-stream", "content-encoding": way}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            await response.write(next(compressing(deltas(), way)))
            await asyncio.sleep(30)
            return response

        provider.behaviours["compressed"] = behaviour

        with ask(stream=True) as answer:
            assert next(answer.iter_lines()) == deltas()[0].strip()

    @three_ways
    def test_that_breaks_off_is_broken(self, answers, ask: Post, rows, way: str):
        pieces = list(compressing(deltas()[:3], way))[:3]
        answers(pieces, way, "text/event-stream", is_cut=True)

        text = ask(stream=True).text

        assert text.startswith(deltas()[0].decode())
        assert '"code":"upstream_unreachable"' in text
        assert "[DONE]" not in text
        assert [row.outcome for row in rows()] == ["broken"]

    @three_ways
    def test_that_ends_before_its_encoding_does_is_cut(self, answers, ask: Post, rows, way: str):
        body = json.dumps(the_answer()).encode()
        answers(list(compressing([body[:40], body[40:]], way))[:1], way)

        answer = ask()

        with pytest.raises(requests.RequestException):
            _ = answer.content
        assert [row.outcome for row in rows()] == ["broken"]

    @three_ways
    def test_that_is_not_what_it_says_from_the_start_is_502(self, answers, ask: Post, way: str):
        answers([json.dumps(the_answer()).encode()], way)

        answer = ask()

        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream_unreachable"

    def test_that_is_an_error_is_passed_on_readably(self, answers, ask: Post):
        body = b'{"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}'
        answers([gzip.compress(body)], "gzip", status=429)

        answer = ask()

        assert answer.status_code == 429
        assert answer.raw.read() == body

    @three_ways
    def test_that_becomes_too_large_is_stopped(
        self, answers, ask: Post, provider: FakeProvider, settings, way: str
    ):
        settings.PROXY_MAX_RESPONSE = MEGABYTE
        lines = b": " + b"x" * 65534 + b"\n\n"
        answers(list(compressing([lines * 1000], way)), way, "text/event-stream")

        body = ask(stream=True).content

        assert len(body) < 2 * MEGABYTE
        assert b"larger than allowed" in body

    @pytest.mark.parametrize("encoding", ["br", "gzip, br", "gzip, gzip"])
    def test_that_cannot_be_decoded_is_502(self, answers, ask: Post, encoding: str):
        answers([b"x" * 100], encoding)

        assert ask().json()["error"]["code"] == "upstream_unreachable"

    @three_ways
    def test_leaves_its_connection_to_the_next_call(
        self, provider: FakeProvider, ask: Post, way: str
    ):
        connections: list[int] = []

        async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
            assert request.transport is not None
            connections.append(request.transport.get_extra_info("peername")[1])
            body = WAYS[way][1](json.dumps(the_answer()).encode())
            headers = {"content-type": "application/json", "content-encoding": way}
            return web.Response(body=body, headers=headers)

        provider.behaviours["compressed"] = behaviour

        for _ in range(2):
            assert ask().json() == the_answer()
        assert len(set(connections)) == 1

    def test_without_a_body_is_passed_on(self, answers, ask: Post):
        answers([], "gzip", status=500)

        answer = ask()

        assert (answer.status_code, answer.content) == (500, b"")
