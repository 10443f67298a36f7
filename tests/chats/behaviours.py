"""Ways in which a model's provider answers a chat, besides those of the proxy's tests."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from aiohttp import web

from tests import anthropic, gemini
from tests.fakes import ANSWER, Received, chunk, completion, deltas, stream

asked: Counter[str] = Counter()
"""How often each path was asked."""


async def once(request: web.Request, received: Received) -> web.StreamResponse:
    """Fail the first time with the status in the path, /once/503/5: retry after 5; then well."""
    asked[request.path] += 1
    if asked[request.path] > 1:
        return await stream(request, deltas(received.json))
    _, _, status, wait, *_ = request.path.split("/")
    headers = {"retry-after": wait} if wait != "-" else {}
    return web.json_response({"error": {"message": "Not now"}}, status=int(status), headers=headers)


async def malformed(request: web.Request, received: Received) -> web.StreamResponse:
    """Put rubbish between good events."""
    rubbish = [
        b"data: {\n\n",
        b"data: 7\n\n",
        b"event: execute\ndata: {}\n\n",
        b":\n\n",
        b"xyz\n\n",
    ]
    pieces = [piece for good in deltas() for piece in (good, *rubbish)]
    return await stream(request, pieces)


async def byte_by_byte(request: web.Request, received: Received) -> web.StreamResponse:
    """Cut the stream everywhere, with the line ends of another world."""
    whole = b"".join(deltas()).replace(b"\n", b"\r\n")
    return await stream(request, [whole[place : place + 1] for place in range(len(whole))])


async def error_inside(request: web.Request, received: Received) -> web.StreamResponse:
    error = {"error": {"message": "Overloaded: sk-provider-of-maya-1", "type": "server_error"}}
    return await stream(
        request, [chunk({"content": "One"}), b"data: " + json.dumps(error).encode() + b"\n\n"]
    )


async def endless_line(request: web.Request, received: Received) -> web.StreamResponse:
    first = chunk({"content": "One"})
    return await stream(request, [first, b"data: ", *[b"x" * 65536] * 8])


async def no_done(request: web.Request, received: Received) -> web.StreamResponse:
    """End after the finish reason, without [DONE] and without the last blank line."""
    return await stream(request, [chunk({"content": ANSWER}), chunk({}, "stop").rstrip()])


async def no_end(request: web.Request, received: Received) -> web.StreamResponse:
    """End in a proper way, but before the answer's end."""
    return await stream(request, [chunk({"content": "One"})])


async def whole(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer in one piece although a stream was asked for."""
    return web.json_response(completion(received.json))


async def page(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(text="<html>Welcome</html>", content_type="text/html")


async def no_json(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(body=b"\xff\xfe{", content_type="application/json")


async def reasoning(request: web.Request, received: Received) -> web.StreamResponse:
    thoughts = [chunk({"reasoning_content": word}) for word in ("Flour", " and", " time.")]
    return await stream(request, [*thoughts, *deltas()])


async def nul(request: web.Request, received: Received) -> web.StreamResponse:
    return await stream(request, [chunk({"content": "a\0b"}), chunk({}, "stop")])


async def hundred(request: web.Request, received: Received) -> web.StreamResponse:
    """A hundred pieces, 20 ms apart, and a proper end."""
    pieces = [chunk({"content": f"{n} "}) for n in range(100)]
    return await stream(request, [*pieces, chunk({}, "stop"), b"data: [DONE]\n\n"], pause=0.02)


async def half_second(request: web.Request, received: Received) -> web.StreamResponse:
    await asyncio.sleep(0.5)
    return await stream(request, deltas(received.json))


ALL = {
    "gemini": gemini.well,
    "anthropic": anthropic.well,
    "once": once,
    "bad-event": malformed,
    "byte-by-byte": byte_by_byte,
    "error-inside": error_inside,
    "endless-event": endless_line,
    "no-last-event": no_done,
    "no-end": no_end,
    "whole": whole,
    "page": page,
    "no-json": no_json,
    "reasoning": reasoning,
    "nul": nul,
    "hundred": hundred,
    "half-second": half_second,
}
