"""Our HTTP client and aiohttp's read the same bytes off a real socket in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from proxy.upstream.http1 import ProtocolError, head_of
from proxy.upstream.pool import Pool
from proxy.upstream.ssrf_guard import Resolver
from proxy.upstream.target import Origin

Reading = tuple[int, tuple[tuple[str, str], ...], bytes] | None
"""Status, the headers that matter and the body; None for a failure."""

SECONDS = 10
MATTER = ("content-type", "x-a", "retry-after", "x-empty")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"Content-Length: 5\r\n\r\nhello"

SAME = {
    "content length": OK + HELLO,
    "no length": OK + b"\r\nuntil the end",
    "empty": OK + b"Content-Length: 0\r\n\r\n",
    "one chunk": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "chunks of a byte": CHUNKED + b"1\r\nh\r\n" * 50 + b"0\r\n\r\n",
    "chunk size in upper case": CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n",
    "chunk size with zeros": CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n",
    "chunk extension": CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\n\r\n',
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX-A: late\r\n\r\n",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + HELLO,
    "103 first": b"HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\n" + OK + HELLO,
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "429": b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\n" + HELLO,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nold",
    "no reason": b"HTTP/1.1 200 \r\n" + HELLO,
    "case of names": b"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh: 5\r\nX-a: b\r\n\r\nhello",
    "white space about a value": b"HTTP/1.1 200 OK\r\nX-A: \t b \t \r\n" + HELLO,
    "no white space before a value": b"HTTP/1.1 200 OK\r\nX-A:b\r\n" + HELLO,
    "empty value": b"HTTP/1.1 200 OK\r\nX-Empty:\r\n" + HELLO,
    "a name twice": b"HTTP/1.1 200 OK\r\nX-A: b\r\nX-A: c\r\n" + HELLO,
    "fails: less than the length": OK + b"Content-Length: 9\r\n\r\nhello",
    "fails: no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "fails: chunk cut": CHUNKED + b"9\r\nhello",
    "fails: chunk size is no number": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "fails: chunk size negative": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "fails: chunk too long": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "fails: head cut": b"HTTP/1.1 200 OK\r\nContent-Le",
    "fails: nothing": b"",
    "fails: no HTTP": b"hello\r\n\r\n",
    "fails: version": b"HTTP/x.1 200 OK\r\n" + HELLO,
    "fails: status is no number": b"HTTP/1.1 abc OK\r\n" + HELLO,
    "fails: length is no number": OK + b"Content-Length: five\r\n\r\nhello",
    "fails: length negative": OK + b"Content-Length: -5\r\n\r\nhello",
    "fails: two lengths": OK + b"Content-Length: 4\r\n" + HELLO,
    "fails: length and chunks": OK + b"Transfer-Encoding: chunked\r\n" + HELLO,
    "fails: space before the colon": b"HTTP/1.1 200 OK\r\nX-A : b\r\n" + HELLO,
    "fails: NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: b\0c\r\n" + HELLO,
}

# Read otherwise, and meant to be: the answer, whether ours takes it, and whether aiohttp does.
DIFFERENT = {
    # What follows an answer's end bars the connection from reuse, and takes nothing from it.
    "more than the length": (OK + HELLO + b"garbage", True, False),
    # RFC 9112, 5.2 lets a proxy refuse folded values, and 2.2 lets it refuse line feeds alone: two
    # readers that part such heads in different places make room for smuggling.
    "folded value": (b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n" + HELLO, False, True),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", False, True),
}


@asynccontextmanager
async def serving(answer: bytes, size: int) -> AsyncIterator[int]:
    """Answer each connection's first request with these bytes, in pieces, and hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for start in range(0, len(answer), size):
            writer.write(answer[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def that_matter(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers if name.lower() in MATTER)


async def by_ours(port: int, method: str) -> Reading:
    pool = Pool(Resolver(is_guarded=False))
    origin = Origin(is_tls=False, host="127.0.0.1", port=port)
    body = b""
    try:
        async with asyncio.timeout(SECONDS):
            head = head_of(method, b"/", b"127.0.0.1", [], None)
            answer = await pool.send(origin, head, None, is_safe=False)
            try:
                while piece := await answer.read():
                    body += piece
            finally:
                pool.release(origin, answer)
    except ProtocolError:
        return None
    finally:
        pool.close()
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]
    return answer.status, that_matter(headers), body


async def by_aiohttp(port: int, method: str) -> Reading:
    try:
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, f"http://127.0.0.1:{port}/", allow_redirects=False) as answer,
        ):
            body = await answer.read()
            return answer.status, that_matter(list(answer.headers.items())), body
    except aiohttp.ClientError:
        return None


@pytest.mark.parametrize(
    ("name", "size"),
    # aiohttp waits for ever where a byte stands in the place of a chunk's end, and comes alone.
    [(n, s) for n in SAME for s in (1, 7, 10_000) if (n, s) != ("fails: chunk too long", 1)],
)
async def test_both_read_the_same(name: str, size: int):
    async with serving(SAME[name], size) as port:
        ours, theirs = await by_ours(port, "GET"), await by_aiohttp(port, "GET")

    assert ours == theirs
    assert (ours is None) == name.startswith("fails")


@pytest.mark.parametrize("name", DIFFERENT)
async def test_both_differ_as_listed(name: str):
    answer, is_ours_read, is_theirs_read = DIFFERENT[name]
    async with serving(answer, 10_000) as port:
        ours, theirs = await by_ours(port, "GET"), await by_aiohttp(port, "GET")

    assert (ours is not None, theirs is not None) == (is_ours_read, is_theirs_read)


async def test_a_status_of_zero_ends_the_wait():
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 000 None\r\n" + HELLO)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        hung_up.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        assert await by_ours(server.sockets[0].getsockname()[1], "GET") is None
        async with asyncio.timeout(SECONDS):
            await hung_up.wait()
