"""The Gemini side of the tests' provider: it answers under `/gemini`, or `/gemini-cut`, ..."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import requests
from aiohttp import web

from tests.fakes import ANSWER, Behaviour, FakeProvider, Received, stream

KEY = "AIza-provider-1"
Ask = Callable[..., requests.Response]

USAGE = {
    "promptTokenCount": 21,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "cachedContentTokenCount": 16,
    "totalTokenCount": 28,
}
CALLS = [
    {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"},
    {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
]


def answer(*parts: dict[str, Any], usage: dict[str, int] = USAGE, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0} | more
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-test",
        "responseId": "r-1",
    }


def chunks() -> list[dict[str, Any]]:
    """The pieces of a streamed answer; their usage is cumulative."""
    words = [f"{word} " for word in ANSWER.split(" ")]
    made = [
        answer({"text": word}, usage={"promptTokenCount": 21, "candidatesTokenCount": number})
        for number, word in enumerate(words, start=1)
    ]
    signed = {"text": "", "thoughtSignature": "c2lnbmF0dXJl"}
    return [*made, answer(signed, finishReason="STOP")]


def as_events() -> list[bytes]:
    return [b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks()]


def as_array() -> list[bytes]:
    """The pieces of one JSON array, as Google sends it where nobody asks for events."""
    texts = [json.dumps(chunk, indent=2).encode() for chunk in chunks()]
    return [b"[" + texts[0], *(b"\n,\r\n" + text for text in texts[1:]), b"\n]\n"]


async def well(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer as Gemini does."""
    task = request.path.rpartition(":")[2]
    if request.method == "GET":
        model = {"name": "models/gemini-test", "displayName": "Test", "inputTokenLimit": 1000}
        is_one = not request.path.endswith("/models")
        return web.json_response(model if is_one else {"models": [model]})
    if task == "countTokens":
        return web.json_response({"totalTokens": 7})
    if task == "batchEmbedContents":
        asked = received.json["requests"]
        return web.json_response({"embeddings": [{"values": [0.5, 0.25]} for _ in asked]})
    if task == "streamGenerateContent":
        is_events = request.query.get("alt") == "sse"
        return await _streamed(request, as_events() if is_events else as_array())
    if task != "generateContent":
        return web.Response(body=received.body, content_type="application/json")
    has_results = b"functionResponse" in received.body or b"function_response" in received.body
    if received.json.get("tools") and not has_results:
        return web.json_response(answer(*CALLS, finishReason="STOP"))
    return web.json_response(_answered(received.json.get("generationConfig") or {}))


def _answered(config: dict[str, Any]) -> dict[str, Any]:
    """Return words, or JSON where a schema asks for it, as often as is asked for."""
    text = json.dumps({"city": "Paris"}) if "responseSchema" in config else ANSWER
    made = answer({"text": text}, finishReason="STOP")
    (first,) = made["candidates"]
    count = config.get("candidateCount", 1)
    return made | {"candidates": [first | {"index": index} for index in range(count)]}


async def _streamed(
    request: web.Request, pieces: list[bytes], pause: float = 0
) -> web.StreamResponse:
    if request.query.get("alt") == "sse":
        return await stream(request, pieces, pause)
    response = web.StreamResponse(headers={"content-type": "application/json; charset=UTF-8"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(pause)
    await response.write_eof()
    return response


async def cut(request: web.Request, received: Received) -> web.StreamResponse:
    """Reset the connection after the first piece, or as the path says: /gemini-cut/comma."""
    is_events = request.query.get("alt") == "sse"
    first = (as_events() if is_events else as_array())[0]
    first = {
        "nothing": b"[" if not is_events else b"",
        "comma": first + b"\n,\r\n",
        "inside": first[:-40],
    }.get(request.path.split("/")[2], first)
    kind = "text/event-stream" if is_events else "application/json"
    response = web.StreamResponse(headers={"content-type": kind})
    await response.prepare(request)
    await response.write(first)
    await asyncio.sleep(0.05)
    assert request.transport is not None
    request.transport.abort()
    return response


async def stall_after_one(request: web.Request, received: Received) -> web.StreamResponse:
    """Send the first piece, then nothing."""
    return await _streamed(request, as_array()[:1], pause=30)


def failure(status: int) -> dict[str, Any]:
    """An error as Google sends it, with the details that tell one limit from another."""
    details = [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46s"},
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
    ]
    names = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
    said = {"code": status, "message": f"Failed with {status}", "status": names.get(status, "X")}
    return {"error": said | {"details": details}}


async def fail(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer with the status in the path: /gemini-fail/429."""
    status = int(request.path.split("/")[2])
    return web.json_response(failure(status), status=status)


async def refuse_filtered(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 400 to a short history and well to a long one."""
    if len(received.json["contents"]) < 7:
        return web.json_response(failure(400), status=400)
    return await well(request, received)


BEHAVIOURS: dict[str, Behaviour] = {
    "gemini": well,
    "gemini-cut": cut,
    "gemini-fail": fail,
    "gemini-stall-after-one": stall_after_one,
    "gemini-refuse-filtered": refuse_filtered,
}


def base_of(server: str, provider: FakeProvider, behaviour: str = "gemini") -> str:
    """The base URL by which a Gemini client reaches the provider through the proxy."""
    return f"{server}/api/v1/proxy/{provider.url}/{behaviour}"


def is_ours(answer: requests.Response, code: int, status: str) -> bool:
    """Whether an answer is an error of ours in Google's shape."""
    error = answer.json()["error"]
    return (
        answer.status_code == error["code"] == code
        and error["status"] == status
        and error.keys() == {"code", "message", "status"}
        and answer.headers["x-alchemyst-error-source"] == "proxy"
        and bool(error["message"])
    )
