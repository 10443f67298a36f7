"""OpenAI's Responses API, as far as a coding agent's session needs it."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.clients.agents.script import Step, Tool, stream
from tests.fakes import Received

USAGE = {
    "input_tokens": 221,
    "input_tokens_details": {"cached_tokens": 160},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 230,
}


class Responses:
    """Reads requests to `/responses`, writes their answers."""

    def step(self, body: Any) -> int | None:
        """Each answer of the script has one message of words."""
        if not body.get("tools") or isinstance(body["input"], str):
            return None
        return sum(item.get("role") == "assistant" for item in body["input"])

    def events(self, number: int, step: Step, tool: Tool) -> list[bytes]:
        items = [_reasoning(number), _message(number, step.words)]
        items += [_call(number, place, tool, it) for place, it in enumerate(step.commands)]
        begun = _response(number, "in_progress", [])
        done = _response(number, "completed", items) | {"usage": USAGE}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            *(event for index, item in enumerate(items) for event in _pieces(index, item)),
            {"type": "response.completed", "response": done},
        ]
        return [_event(event, place) for place, event in enumerate(events)]

    async def beside(self, request: web.Request, received: Received) -> web.StreamResponse:
        if request.method != "POST":
            return web.json_response({"object": "list", "data": [], "models": []})
        if received.json.get("stream"):
            return await stream(request, self.events(0, Step("Bread"), Tool("", lambda it: {})))
        body = _response(0, "completed", [_message(0, "Bread")]) | {"usage": USAGE}
        return web.json_response(body)

    def error(self, status: int, words: str) -> Any:
        kind = {400: "invalid_request_error", 401: "invalid_request_error"}
        named = {"type": kind.get(status, "server_error"), "code": f"code_{status}"}
        return {"error": {"message": words, "param": None} | named}

    def error_event(self, words: str) -> bytes:
        failure = {"code": "server_error", "message": words}
        failed = _response(0, "failed", []) | {"error": failure}
        return _event({"type": "response.failed", "response": failed}, 99)


def _event(event: dict[str, Any], place: int) -> bytes:
    data = json.dumps(event | {"sequence_number": place})
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def _response(number: int, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{number:04}",
        "object": "response",
        "created_at": 1,
        "model": "gpt-test",
        "status": status,
        "output": output,
        "error": None,
        "incomplete_details": None,
        "usage": None,
    }


def _reasoning(number: int) -> dict[str, Any]:
    return {
        "type": "reasoning",
        "id": f"rs_{number:04}",
        "summary": [],
        "encrypted_content": f"Z2VoZWlt{number:04}",
    }


def _message(number: int, words: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{number:04}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": words, "annotations": []}],
    }


def _call(number: int, place: int, tool: Tool, command: str) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{number:04}_{place}",
        "call_id": f"call_{number:04}_{place}",
        "name": tool.name,
        "arguments": json.dumps(tool.arguments(command)),
        "status": "completed",
    }


def _pieces(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one item."""
    return [
        _item_event("added", index, item | _emptied(item)),
        *({"output_index": index, "item_id": item["id"]} | event for event in _deltas(item)),
        _item_event("done", index, item),
    ]


def _item_event(what: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"response.output_item.{what}", "output_index": index, "item": item}


def _emptied(item: dict[str, Any]) -> dict[str, Any]:
    empty = {"message": {"content": []}, "function_call": {"arguments": ""}}
    return {"status": "in_progress"} | empty.get(item["type"], {})


def _deltas(item: dict[str, Any]) -> list[dict[str, Any]]:
    if item["type"] == "function_call":
        kind, written = "response.function_call_arguments", item["arguments"]
        halves = [{"type": f"{kind}.delta", "delta": it} for it in (written[:7], written[7:])]
        return [*halves, {"type": f"{kind}.done", "arguments": written}]
    if item["type"] == "reasoning":
        return []
    (part,) = item["content"]
    at, text = {"content_index": 0}, part["text"]
    events: list[dict[str, Any]] = [
        {"type": "response.content_part.added", "part": part | {"text": ""}},
        {"type": "response.output_text.delta", "delta": text},
        {"type": "response.output_text.done", "text": text},
        {"type": "response.content_part.done", "part": part},
    ]
    return [at | event for event in events]
