"""A provider for the tests: a real HTTP server on loopback that records what it received.

The path of the base URL chooses how it behaves (`/stall/v1`, `/cut/v1`, ...), so that every
behaviour is reached through the proxy's real front door.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ANSWER = "Sourdough rises slowly."
USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 4,
    "total_tokens": 25,
    "prompt_tokens_details": {"cached_tokens": 16},
}


@dataclass
class Received:
    """One request as the provider saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    is_closed: threading.Event = field(default_factory=threading.Event)
    """Set when the proxy hung up before the answer's end."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FakeProvider:
    """An OpenAI-compatible server in a thread of its own."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.port = 0
        self.ssl_context = ssl_context
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self.ssl_context else ''}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def last(self) -> Received:
        return self.received[-1]

    def wait_for_a_request(self, seconds: float = 5) -> Received:
        end = time.monotonic() + seconds
        while not self.received:
            assert time.monotonic() < end, "the provider was never asked"
            time.sleep(0.01)
        return self.received[-1]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.ssl_context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            request.method, request.raw_path, dict(request.headers), await request.read()
        )
        self.received.append(received)
        behaviour = BEHAVIOURS.get(request.path.split("/")[1], well)
        try:
            return await behaviour(request, received)
        except (asyncio.CancelledError, ConnectionError):
            received.is_closed.set()
            raise


async def well(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer as OpenAI does: a list of models, a completion, or a stream."""
    if request.path.endswith("/models"):
        return web.json_response({"object": "list", "data": [{"id": "gpt-test"}]})
    if received.json.get("stream"):
        return await stream(request, deltas())
    return web.json_response(completion(), headers={"x-request-id": "up-1", "set-cookie": "a=b"})


def completion() -> dict[str, Any]:
    message = {"role": "assistant", "content": ANSWER}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-test",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-test",
        "choices": choices,
    }
    return b"data: " + json.dumps(body | more).encode() + b"\n\n"


def deltas() -> list[bytes]:
    words = ANSWER.split(" ")
    pieces = [chunk({"role": "assistant", "content": ""})]
    pieces += [chunk({"content": w if n == 0 else f" {w}"}) for n, w in enumerate(words)]
    pieces += [chunk({}, "stop"), chunk({}, choices=[], usage=USAGE), b"data: [DONE]\n\n"]
    return pieces


async def stream(
    request: web.Request, pieces: list[bytes], pause: float = 0
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(pause)
    await response.write_eof()
    return response


async def slow(request: web.Request, received: Received) -> web.StreamResponse:
    """Stream a piece every 50 ms, for 20 seconds."""
    return await stream(request, [chunk({"content": f"{n} "}) for n in range(400)], pause=0.05)


async def stall(request: web.Request, received: Received) -> web.StreamResponse:
    """Never answer."""
    await asyncio.sleep(30)
    return web.Response()


async def stall_after_one(request: web.Request, received: Received) -> web.StreamResponse:
    """Send one piece, then nothing."""
    return await stream(request, [chunk({"content": "One"}), b""], pause=30)


async def cut(request: web.Request, received: Received) -> web.StreamResponse:
    """Reset the connection in mid-answer."""
    response = web.StreamResponse()
    if received.json.get("stream"):
        response.content_type = "text/event-stream"
        first = chunk({"content": "One"})
    else:
        response.content_type = "application/json"
        response.content_length = 1000
        first = b'{"id": "chatcmpl-1", '
    await response.prepare(request)
    await response.write(first)
    await asyncio.sleep(0.05)
    assert request.transport is not None
    request.transport.abort()
    return response


async def refuse_filtered(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 400 to a short history and well to a long one."""
    if len(received.json["messages"]) < 7:
        return web.json_response({"error": {"message": "Turns!", "type": "x"}}, status=400)
    return await well(request, received)


async def limited(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 429 once, then well."""
    error = {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    return web.json_response(
        error, status=429, headers={"retry-after": "7", "x-ratelimit-remaining-requests": "0"}
    )


async def fail(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer with the status in the path: /fail/503/v1."""
    status = int(request.path.split("/")[2])
    error = {"message": f"Failed with {status}", "type": "t", "code": "c", "param": None}
    return web.json_response({"error": error}, status=status)


async def redirect(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(status=307, headers={"location": "/v1/chat/completions"})


async def gzipped(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(body=b"\x1f\x8b", headers={"content-encoding": "gzip"})


async def endless(request: web.Request, received: Received) -> web.StreamResponse:
    """Send more than may pass."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for _ in range(10_000):
        await response.write(b": " + b"x" * 65536 + b"\n\n")
    return response


BEHAVIOURS: dict[str, Callable[[web.Request, Received], Awaitable[web.StreamResponse]]] = {
    "slow": slow,
    "stall": stall,
    "stall-after-one": stall_after_one,
    "cut": cut,
    "refuse-filtered": refuse_filtered,
    "limited": limited,
    "fail": fail,
    "redirect": redirect,
    "gzipped": gzipped,
    "endless": endless,
}
