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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ANSWER = "Sourdough rises slowly."
CITIES = ((0, "Paris"), (1, "Rome"))
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


Behaviour = Callable[[web.Request, Received], Awaitable[web.StreamResponse]]


class FakeProvider:
    """An OpenAI-compatible server in a thread of its own."""

    def __init__(
        self,
        ssl_context: ssl.SSLContext | None = None,
        behaviours: Mapping[str, Behaviour] | None = None,
    ) -> None:
        self.behaviours = dict(BEHAVIOURS if behaviours is None else behaviours)
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
        behaviour = self.behaviours.get(request.path.split("/")[1], well)
        try:
            return await behaviour(request, received)
        except (asyncio.CancelledError, ConnectionError):
            received.is_closed.set()
            raise


async def well(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer as OpenAI does: a list of models, a completion, or a stream."""
    if request.path.endswith("/models"):
        return web.json_response({"object": "list", "data": [{"id": "gpt-test"}]})
    asked = received.json
    if asked.get("stream"):
        return await stream(request, deltas(asked))
    told = {"x-request-id": "up-1", "set-cookie": "a=b"}
    return web.json_response(completion(asked), headers=told)


def completion(asked: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what is answered to a request: words, JSON where asked, or calls of its tool."""
    asked = asked or {}
    message: dict[str, Any] = {"role": "assistant", "content": _text(asked)}
    finish = "stop"
    if _calls_tools(asked):
        name = asked["tools"][0]["function"]["name"]
        calls = [_call(place, name, json.dumps({"city": city})) for place, city in CITIES]
        message, finish = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    choice = {"message": message, "finish_reason": finish}
    if asked.get("logprobs"):
        choice["logprobs"] = _logprobs(_text(asked))
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-test",
        "choices": [{"index": index} | choice for index in range(asked.get("n") or 1)],
        "usage": USAGE,
    }


def _text(asked: dict[str, Any]) -> str:
    wants_json = (asked.get("response_format") or {}).get("type") == "json_schema"
    return json.dumps({"city": "Paris"}) if wants_json else ANSWER


def _calls_tools(asked: dict[str, Any]) -> bool:
    return bool(asked.get("tools")) and asked["messages"][-1]["role"] != "tool"


def _call(place: int, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{place}", "type": "function", "function": function}


def _logprobs(text: str) -> dict[str, Any]:
    other = {"token": "Rye", "logprob": -2.25, "bytes": [82, 121, 101]}
    said = {"token": text, "logprob": -0.125, "bytes": list(text.encode()), "top_logprobs": [other]}
    return {"content": [said], "refusal": None}


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


def deltas(asked: dict[str, Any] | None = None) -> list[bytes]:
    """Return the events of a stream; choices and calls of tools come in turns."""
    asked = asked or {}
    usage = [chunk({}, choices=[], usage=USAGE), b"data: [DONE]\n\n"]
    if _calls_tools(asked):
        first = chunk({"role": "assistant", "content": ""})
        return [first, *_call_deltas(asked), chunk({}, "tool_calls"), *usage]
    words = _text(asked).split(" ")
    pieces = [w if place == 0 else f" {w}" for place, w in enumerate(words)]
    indices = range(asked.get("n") or 1)
    said = [_said(index, piece, asked) for piece in pieces for index in indices]
    begun = [_choice_chunk(index, {"role": "assistant", "content": ""}) for index in indices]
    ends = [_choice_chunk(index, {}, finish_reason="stop") for index in indices]
    return [*begun, *said, *ends, *usage]


def _call_deltas(asked: dict[str, Any]) -> list[bytes]:
    name = asked["tools"][0]["function"]["name"]
    begun = [[{"index": place} | _call(place, name, "")] for place, _ in CITIES]
    pieces = [['{"city": ', f'"{city}"}}'] for _, city in CITIES]
    more = [
        [{"index": place, "function": {"arguments": pieces[place][part]}}]
        for part in (0, 1)
        for place, _ in CITIES
    ]
    return [chunk({"tool_calls": calls}) for calls in begun + more]


def _said(index: int, piece: str, asked: dict[str, Any]) -> bytes:
    more = {"logprobs": _logprobs(piece)} if asked.get("logprobs") else {}
    return _choice_chunk(index, {"content": piece}, **more)


def _choice_chunk(
    index: int, delta: dict[str, Any], *, finish_reason: str | None = None, **more: Any
) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return chunk({}, choices=[choice | more])


async def stream(request: web.Request, pieces: list[bytes], pause: float = 0) -> web.StreamResponse:
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


async def plain(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer the same to whatever is asked."""
    return web.json_response(completion())


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


BEHAVIOURS: dict[str, Behaviour] = {
    "slow": slow,
    "stall": stall,
    "stall-after-one": stall_after_one,
    "cut": cut,
    "plain": plain,
    "refuse-filtered": refuse_filtered,
    "limited": limited,
    "fail": fail,
    "redirect": redirect,
    "gzipped": gzipped,
    "endless": endless,
}
