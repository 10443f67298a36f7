"""The ways in which a provider fails, as behaviours of the tests' provider.

Most of them break HTTP or the stream's format, which no server library does willingly, so they
write to the connection themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from aiohttp import web

from tests.fakes import BEHAVIOURS, Behaviour, Received, chunk, completion, deltas, stream

ONE, TWO = chunk({"content": "One"}), chunk({"content": " two"})
HALF = ONE[: len(ONE) // 2]
MALFORMED = b'data: {"choices": [{"delta":\n\n'
SSE = "Content-Type: text/event-stream"
JSON = "Content-Type: application/json"
MEGABYTE = b"x" * 1024 * 1024
HUGE = 512

FAULTS: dict[str, Behaviour] = {}


def fault(name: str) -> Callable[[Behaviour], Behaviour]:
    """Give a behaviour the name by which a base URL chooses it."""

    def named(behaviour: Behaviour) -> Behaviour:
        FAULTS[name] = behaviour
        return behaviour

    return named


async def write_raw(
    request: web.Request, *pieces: bytes, pause: float = 0.02, is_reset: bool = False
) -> web.StreamResponse:
    """Write bytes past the server library, then close the connection, or reset it."""
    assert request.transport is not None
    for piece in pieces:
        request.transport.write(piece)  # type: ignore[attr-defined]
        await asyncio.sleep(pause)
    request.transport.abort() if is_reset else request.transport.close()  # type: ignore[attr-defined]
    return web.Response()


def head(*lines: str, status: str = "200 OK") -> bytes:
    """Return the head of an answer after which the connection is closed."""
    lines = (f"HTTP/1.1 {status}", *lines, "Connection: close", "", "")
    return "\r\n".join(lines).encode("latin-1")


def wants_stream(received: Received) -> bool:
    return bool(received.body) and bool(received.json.get("stream"))


def plain_body() -> bytes:
    return json.dumps(completion()).encode()


@fault("reset")
async def reset(request: web.Request, received: Received) -> web.StreamResponse:
    """Reset the connection before any header."""
    return await write_raw(request, is_reset=True)


@fault("hang-up")
async def hang_up(request: web.Request, received: Received) -> web.StreamResponse:
    """Close the connection before any header."""
    return await write_raw(request)


@fault("half-a-head")
async def half_a_head(request: web.Request, received: Received) -> web.StreamResponse:
    return await write_raw(request, b"HTTP/1.1 200 OK\r\nContent-Ty")


@fault("not-http")
async def not_http(request: web.Request, received: Received) -> web.StreamResponse:
    return await write_raw(request, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


@fault("endless-header")
async def endless_header(request: web.Request, received: Received) -> web.StreamResponse:
    """Send a header without an end, a few megabytes of it."""
    return await write_raw(request, b"HTTP/1.1 200 OK\r\nX-Long: ", *[MEGABYTE] * 4)


@fault("bad-chunk")
async def bad_chunk(request: web.Request, received: Received) -> web.StreamResponse:
    """Say a chunk's size in words."""
    return await write_raw(
        request,
        head(SSE, "Transfer-Encoding: chunked"),
        b"%x\r\n%b\r\n" % (len(ONE), ONE),
        b"six\r\n",
    )


@fault("stall-after-head")
async def stall_after_head(request: web.Request, received: Received) -> web.StreamResponse:
    """Send the headers and nothing more."""
    kind = "text/event-stream" if wants_stream(received) else "application/json"
    response = web.StreamResponse(headers={"content-type": kind})
    await response.prepare(request)
    await asyncio.sleep(30)
    return response


@fault("truncated")
async def truncated(request: web.Request, received: Received) -> web.StreamResponse:
    """Close the connection in the middle of the second event, or of the body."""
    if wants_stream(received):
        first = b"%x\r\n%b\r\n" % (len(ONE + HALF), ONE + HALF)
        return await write_raw(request, head(SSE, "Transfer-Encoding: chunked"), first)
    return await write_raw(request, head(JSON, "Content-Length: 1000"), plain_body()[:99])


@fault("drip")
async def drip(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer well, a few bytes at a time."""
    whole = b"".join(deltas()[-3:])
    return await stream(request, [whole[n : n + 7] for n in range(0, len(whole), 7)], pause=0.005)


@fault("malformed")
async def malformed(request: web.Request, received: Received) -> web.StreamResponse:
    """Stream an event that is no JSON between good ones, and a comment, and an unknown event."""
    pieces = [ONE, MALFORMED, b": still here\n\n", b"event: surprise\ndata: 1\n\n", TWO]
    return await stream(request, [*pieces, chunk({}, "stop"), b"data: [DONE]\n\n"])


@fault("no-done")
async def no_done(request: web.Request, received: Received) -> web.StreamResponse:
    """Stream to the end without saying that it is one."""
    return await stream(request, [ONE, TWO, chunk({}, "stop")])


@fault("error-in-stream")
async def error_in_stream(request: web.Request, received: Received) -> web.StreamResponse:
    """Say 200, and what went wrong inside the stream."""
    error = {"message": "Overloaded", "type": "overloaded_error", "code": "overloaded"}
    return await stream(request, [ONE, b"data: " + json.dumps({"error": error}).encode() + b"\n\n"])


@fault("bad-json")
async def bad_json(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(body=b'{"choices": [', content_type="application/json")


@fault("html")
async def html(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 200 with a page, as a captive portal does."""
    return web.Response(text="<script>alert(1)</script>", content_type="text/html")


@fault("wrong-type")
async def wrong_type(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer well, as text/plain."""
    body = b"".join(deltas()) if wants_stream(received) else plain_body()
    return web.Response(body=body, content_type="text/plain")


@fault("overloaded")
async def overloaded(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 503, and when to come again."""
    error = {"error": {"message": "Overloaded", "type": "server_error", "code": None}}
    waits = {"retry-after": "2", "retry-after-ms": "800"}
    return web.json_response(error, status=503, headers=waits)


@fault("refuses-the-body")
async def refuses_the_body(request: web.Request, received: Received) -> web.StreamResponse:
    error = {"error": {"message": "Too large", "type": "invalid_request_error", "code": None}}
    return web.json_response(error, status=413)


@fault("echo")
async def echo(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 401 and repeat the key that was shown, in a header and across two pieces."""
    shown = request.headers.get("x-goog-api-key") or request.headers["Authorization"]
    key = shown.removeprefix("Bearer ")
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {key}."}}).encode()
    half = body.index(key.encode()) + len(key) // 2
    lines = (JSON, f"Content-Length: {len(body)}", f"X-Refused: {key}", "WWW-Authenticate: Bearer")
    return await write_raw(
        request, head(*lines, status="401 Unauthorized"), body[:half], body[half:]
    )


@fault("gzipped-stream")
async def gzipped_stream(request: web.Request, received: Received) -> web.StreamResponse:
    """Stream gzip, and say in a first header that it is none."""
    lines = (SSE, "Content-Encoding: identity", "Content-Encoding: gzip")
    return await write_raw(request, head(*lines), b"\x1f\x8b" * 10)


@fault("odd-headers")
async def odd_headers(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer well, with headers that are meant for somebody else's browser or parser."""
    body = plain_body()
    lines = (
        JSON,
        f"Content-Length: {len(body)}",
        "Set-Cookie: session=theirs",
        "Access-Control-Allow-Origin: *",
        "Location: https://elsewhere.example/",
        "X-Alchemyst-Context: forged",
        "Keep-Alive: timeout=600",
        "X-Ratelimit-Remaining-Tokens: 149984",
        "OpenAI-Processing-Ms: 17",
    )
    return await write_raw(request, head(*lines) + body)


@fault("split-header")
async def split_header(request: web.Request, received: Received) -> web.StreamResponse:
    """Hide a second header behind a bare carriage return in the first."""
    body = plain_body()
    lines = (JSON, f"Content-Length: {len(body)}", "X-A: 1\rSet-Cookie: session=theirs")
    return await write_raw(request, head(*lines) + body)


@fault("endless-line")
async def endless_line(request: web.Request, received: Received) -> web.StreamResponse:
    """Stream one event without an end."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: ")
    for _ in range(HUGE):
        await response.write(MEGABYTE)
    return response


@fault("huge")
async def huge(request: web.Request, received: Received) -> web.StreamResponse:
    """Send 512 MB of body without saying so before."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    for _ in range(HUGE):
        await response.write(MEGABYTE)
    return response


@fault("huge-and-says-so")
async def huge_and_says_so(request: web.Request, received: Received) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json"})
    response.content_length = HUGE * len(MEGABYTE)
    await response.prepare(request)
    for _ in range(HUGE):
        await response.write(MEGABYTE)
    return response


NAMES = sorted(BEHAVIOURS | FAULTS)
"""Every behaviour that a base URL can choose, the faults of `tests.fakes` included."""
