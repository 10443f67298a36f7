"""Anthropic's Messages API, as far as a coding agent's session needs it."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.clients.agents.script import Step, Tool, stream
from tests.fakes import Received

USAGE = {"input_tokens": 21, "cache_read_input_tokens": 160, "cache_creation_input_tokens": 40}
OUTPUT_TOKENS = 9


class Anthropic:
    """Reads requests to `/v1/messages`, writes their answers."""

    def step(self, body: Any) -> int | None:
        if not body.get("tools") or not body.get("stream"):
            return None
        return sum(message["role"] == "assistant" for message in body["messages"])

    def events(self, number: int, step: Step, tool: Tool) -> list[bytes]:
        message = _message(number) | {"content": [], "stop_reason": None}
        blocks = [_thinking(number), _text(step.words)]
        blocks += [_call(number, place, tool, it) for place, it in enumerate(step.commands)]
        pieces = [piece for index, block in enumerate(blocks) for piece in _pieces(index, block)]
        reason = "tool_use" if step.commands else "end_turn"
        ending = {"delta": {"stop_reason": reason, "stop_sequence": None}}
        return [
            _event("message_start", message=message),
            _event("ping"),
            *pieces,
            _event("message_delta", **ending, usage={"output_tokens": OUTPUT_TOKENS}),
            _event("message_stop"),
        ]

    async def beside(self, request: web.Request, received: Received) -> web.StreamResponse:
        if request.path.endswith("/count_tokens"):
            return web.json_response({"input_tokens": 12})
        if request.method != "POST":
            return web.json_response({"data": [], "has_more": False})
        if received.json.get("stream"):
            return await stream(request, self.events(0, Step("Bread"), Tool("", lambda it: {})))
        text = {"type": "text", "text": json.dumps({"title": "Bread", "isNewTopic": False})}
        return web.json_response(
            _message(0)
            | {"content": [text], "stop_reason": "end_turn"}
            | {"usage": USAGE | {"output_tokens": OUTPUT_TOKENS}}
        )

    def error(self, status: int, words: str) -> Any:
        kind = {
            400: "invalid_request_error",
            401: "authentication_error",
            429: "rate_limit_error",
            529: "overloaded_error",
        }.get(status, "api_error")
        error = {"type": kind, "message": words}
        return {"type": "error", "error": error, "request_id": "req_provider_1"}

    def error_event(self, words: str) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": words})


def _message(number: int) -> dict[str, Any]:
    return {
        "id": f"msg_{number:04}",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "stop_sequence": None,
        "usage": USAGE | {"output_tokens": 1},
    }


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | more)}\n\n".encode()


def _thinking(number: int) -> dict[str, Any]:
    return {"type": "thinking", "thinking": f"Step {number}.", "signature": f"c2lnbmVk{number:04}"}


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def _call(number: int, place: int, tool: Tool, command: str) -> dict[str, Any]:
    id = f"toolu_{number:04}_{place}"
    return {"type": "tool_use", "id": id, "name": tool.name, "input": tool.arguments(command)}


def _pieces(index: int, block: dict[str, Any]) -> list[bytes]:
    """The events of one block."""
    if block["type"] == "thinking":
        empty = {"thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    elif block["type"] == "text":
        empty, deltas = {"text": ""}, [{"type": "text_delta", "text": block["text"]}]
    else:
        written = json.dumps(block["input"])
        halves = (written[:7], written[7:])
        empty = {"input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in halves]
    return [
        _event("content_block_start", index=index, content_block=block | empty),
        *(_event("content_block_delta", index=index, delta=delta) for delta in deltas),
        _event("content_block_stop", index=index),
    ]
