"""The Anthropic side of the tests' provider: it answers under `/anthropic` and the like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import requests
from aiohttp import web

from tests.fakes import ANSWER, Behaviour, FakeProvider, Received, stream

KEY = "sk-ant-api03-provider-1"
MODEL = "claude-test"
Ask = Callable[..., requests.Response]

USAGE = {
    "input_tokens": 5,
    "cache_read_input_tokens": 16,
    "cache_creation_input_tokens": 9,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 7},
    "output_tokens": 4,
    "output_tokens_details": {"thinking_tokens": 3},
    "server_tool_use": {"web_search_requests": 0},
}
CALLS = [
    {"type": "tool_use", "id": f"toolu_{number}", "name": "weather", "input": {"city": city}}
    for number, city in enumerate(("Rome", "Oslo"))
]


def answer(*blocks: dict[str, Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(blocks),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": USAGE,
    } | more


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind} | fields, separators=(",", ":")).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def block(index: int, begin: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    """The events of one block."""
    return [
        event("content_block_start", index=index, content_block=begin),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def start(**usage: Any) -> bytes:
    begun = {"input_tokens": 5, "cache_read_input_tokens": 16, "cache_creation_input_tokens": 9}
    return event(
        "message_start", message=answer(stop=None, usage=begun | {"output_tokens": 1} | usage)
    )


def end(stop: str = "end_turn", **usage: Any) -> list[bytes]:
    return [
        event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=usage),
        event("message_stop"),
    ]


PING = event("ping")
TEXT = {"type": "text", "text": ""}
WORDS = [{"type": "text_delta", "text": word} for word in ("Sourdough", " rises", " slowly.")]
THOUGHT = block(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "Bread."},
    {"type": "signature_delta", "signature": "c2ln"},
)


def events() -> list[bytes]:
    """A streamed answer, with thinking and pings; its output is counted as it grows."""
    return [
        start(),
        PING,
        *THOUGHT,
        PING,
        *block(1, TEXT, *WORDS),
        *end(output_tokens=4, output_tokens_details={"thinking_tokens": 3}),
    ]


async def well(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer as Anthropic does."""
    path = request.path.rstrip("/")
    if path.endswith("/models"):
        model = {"type": "model", "id": MODEL, "display_name": "Test", "created_at": "2026-01-01"}
        listed = {"data": [model], "has_more": False, "first_id": MODEL, "last_id": MODEL}
        return web.json_response(listed)
    if path.endswith("/count_tokens"):
        return web.json_response({"input_tokens": 7})
    if not path.endswith("/v1/messages"):
        return web.json_response({"id": "msgbatch_1", "type": "message_batch"})
    headers = {"request-id": "req_up_1", "anthropic-ratelimit-requests-remaining": "9"}
    if received.json.get("stream"):
        return await stream(request, events())
    if received.json.get("tools") and b'"tool_result"' not in received.body:
        return web.json_response(answer(*CALLS, stop="tool_use"), headers=headers)
    return web.json_response(answer({"type": "text", "text": ANSWER}), headers=headers)


async def whole(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer in one piece, also where a stream is asked for."""
    return web.json_response(answer({"type": "text", "text": ANSWER}))


async def cut(request: web.Request, received: Received) -> web.StreamResponse:
    """End after the first word, by a reset or, under /anthropic-cut/cleanly, as if all was said."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for piece in events()[:9]:
        await response.write(piece)
    await asyncio.sleep(0.05)
    if request.path.split("/")[2] != "cleanly":
        assert request.transport is not None
        request.transport.abort()
    return response


OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})


async def break_down(request: web.Request, received: Received) -> web.StreamResponse:
    """Say in mid-stream that there is too much to do."""
    return await stream(request, [*events()[:9], OVERLOADED])


def failure(status: int) -> dict[str, Any]:
    """An error as Anthropic sends it."""
    names = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}
    error = {"type": names.get(status, "api_error"), "message": f"messages.0: failed, {status}"}
    return {"type": "error", "error": error, "request_id": "req_up_2"}


async def fail(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer with the status in the path: /anthropic-fail/529."""
    status = int(request.path.split("/")[2])
    return web.json_response(failure(status), status=status, headers={"x-should-retry": "true"})


async def refuse_filtered(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 400 to a short history and well to a long one."""
    if len(received.json["messages"]) < 7:
        return web.json_response(failure(400), status=400)
    return await well(request, received)


BEHAVIOURS: dict[str, Behaviour] = {
    "anthropic": well,
    "anthropic-whole": whole,
    "anthropic-cut": cut,
    "anthropic-breakdown": break_down,
    "anthropic-fail": fail,
    "anthropic-refuse-filtered": refuse_filtered,
}


def base_of(server: str, provider: FakeProvider, behaviour: str = "anthropic") -> str:
    """The base URL by which an Anthropic client reaches the provider through the proxy."""
    return f"{server}/api/v1/proxy/{provider.url}/{behaviour}"


def is_ours(answer: requests.Response, status: int, kind: str) -> bool:
    """Whether an answer is an error of ours in Anthropic's shape."""
    body = answer.json()
    return (
        answer.status_code == status
        and body.keys() == {"type", "error", "request_id"}
        and body["type"] == "error"
        and body["error"]["type"] == kind
        and bool(body["error"]["message"])
        and body["request_id"] == answer.headers["x-alchemyst-request-id"]
        and answer.headers["x-alchemyst-error-source"] == "proxy"
    )
