"""The Responses side of the tests' provider: it answers under `/responses`, or `/responses-cut`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import requests
from aiohttp import web

from tests.fakes import ANSWER, CITIES, Behaviour, Received, stream

Ask = Callable[..., requests.Response]

ID = "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b"
USAGE = {
    "input_tokens": 21,
    "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 3},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 30,
}
FAULT = {"code": "server_error", "message": "The model ran out of steam."}


def said(text: str = ANSWER) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def reasoning() -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "Bread needs time."}]
    return {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "gAAA=="}


def call(place: int, name: str, arguments: str) -> dict[str, Any]:
    return {
        "id": f"fc_{place}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{place}",
        "name": name,
        "arguments": arguments,
    }


def response(*output: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response, with its fields in OpenAI's order."""
    return {
        "id": ID,
        "object": "response",
        "created_at": 1756315696,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "gpt-test",
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": USAGE,
        "user": None,
        "metadata": {},
    } | more


def event(kind: str, number: int, **fields: Any) -> bytes:
    told = {"type": kind, "sequence_number": number} | fields
    return f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode()


def events(
    *output: dict[str, Any], end: str = "completed", first: int = 0, **more: Any
) -> list[bytes]:
    """The events of a streamed response; `more` are fields of its last one."""
    begun = response(status="in_progress", usage=None)
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
    ]
    for place, item in enumerate(output):
        told += _events_of(item, place)
    told.append((f"response.{end}", {"response": response(*output, status=end, **more)}))
    return [event(kind, first + place, **fields) for place, (kind, fields) in enumerate(told)]


def _events_of(item: dict[str, Any], place: int) -> list[tuple[str, dict[str, Any]]]:
    where = {"item_id": item["id"], "output_index": place}
    empty = {
        "message": {"content": [], "status": "in_progress"},
        "reasoning": {"summary": []},
        "function_call": {"arguments": "", "status": "in_progress"},
    }[item["type"]]
    begun = [("response.output_item.added", {"output_index": place, "item": item | empty})]
    done = [("response.output_item.done", {"output_index": place, "item": item})]
    if item["type"] == "message":
        return begun + _text_events(item["content"][0], where | {"content_index": 0}) + done
    if item["type"] == "reasoning":
        at, text = where | {"summary_index": 0}, item["summary"][0]
        return [
            *begun,
            ("response.reasoning_summary_part.added", at | {"part": text | {"text": ""}}),
            ("response.reasoning_summary_text.delta", at | {"delta": text["text"]}),
            ("response.reasoning_summary_text.done", at | {"text": text["text"]}),
            ("response.reasoning_summary_part.done", at | {"part": text}),
            *done,
        ]
    arguments = item["arguments"]
    halves = (arguments[:9], arguments[9:])
    return [
        *begun,
        *(("response.function_call_arguments.delta", where | {"delta": half}) for half in halves),
        (
            "response.function_call_arguments.done",
            where | {"arguments": arguments, "name": item["name"]},
        ),
        *done,
    ]


def _text_events(part: dict[str, Any], where: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    words = part["text"].split(" ")
    pieces = [word if place == 0 else f" {word}" for place, word in enumerate(words)]
    return [
        ("response.content_part.added", where | {"part": part | {"text": ""}}),
        *(
            ("response.output_text.delta", where | {"delta": piece, "logprobs": []})
            for piece in pieces
        ),
        ("response.output_text.done", where | {"text": part["text"], "logprobs": []}),
        ("response.content_part.done", where | {"part": part}),
    ]


async def well(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer as OpenAI does: a new response, or what is kept of an earlier one."""
    endpoint = "/".join(request.path.split("/")[3:])
    if request.method != "POST" or endpoint != "responses":
        return await _kept(request, received, endpoint)
    asked = received.json
    output = _output(asked)
    if asked.get("stream"):
        return await stream(request, events(*output))
    return web.json_response(response(*output), headers={"x-request-id": "up-1"})


def _output(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return reasoning, and words, JSON where a schema asks for it, or calls of a tool."""
    items = asked["input"] if isinstance(asked.get("input"), list) else [{}]
    if asked.get("tools") and items[-1].get("type") != "function_call_output":
        name = asked["tools"][0]["name"]
        calls = [call(place, name, json.dumps({"city": city})) for place, city in CITIES]
        return [reasoning(), *calls]
    wants_json = ((asked.get("text") or {}).get("format") or {}).get("type") == "json_schema"
    return [reasoning(), said(json.dumps({"city": "Paris"}) if wants_json else ANSWER)]


async def _kept(request: web.Request, received: Received, endpoint: str) -> web.StreamResponse:
    if request.query.get("stream") == "true":
        number = int(request.query.get("starting_after", "-1")) + 1
        return await stream(request, events(said())[number:])
    if endpoint == "responses/input_tokens":
        return web.json_response({"object": "response.input_tokens", "input_tokens": 7})
    if endpoint.endswith("input_items"):
        return web.json_response({"object": "list", "data": [said()], "has_more": False})
    if request.method == "DELETE":
        return web.json_response({"id": ID, "object": "response", "deleted": True})
    if endpoint.startswith("conversations"):
        return web.json_response({"id": "conv_1", "object": "conversation", "metadata": {}})
    return web.json_response(response(said()))


async def cut(request: web.Request, received: Received) -> web.StreamResponse:
    """Reset the connection where the path says: /responses-cut/{events that went out}."""
    count = int(request.path.split("/")[2])
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    for piece in events(said())[:count]:
        await answer.write(piece)
    await answer.write(b'event: response.output_text.delta\ndata: {"type":"resp')
    await asyncio.sleep(0.05)
    assert request.transport is not None
    request.transport.abort()
    return answer


async def ended(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer with a response of the status in the path: /responses-ended/failed/v1/responses."""
    status = request.path.split("/")[2]
    why: dict[str, Any] = {
        "failed": {"error": FAULT, "usage": None},
        "incomplete": {"incomplete_details": {"reason": "max_output_tokens"}},
    }.get(status, {})
    output = () if status == "failed" else (said(),)
    if received.json.get("stream"):
        return await stream(request, events(*output, end=status, **why))
    return web.json_response(response(*output, status=status, **why))


async def error_event(request: web.Request, received: Received) -> web.StreamResponse:
    """Begin a response, then say what went wrong, as OpenAI does."""
    *begun, _ = events(said())
    fault = {"code": "rate_limit_exceeded", "message": "Slow down", "param": None}
    return await stream(request, [*begun, event("error", len(begun), **fault)])


async def slow(request: web.Request, received: Received) -> web.StreamResponse:
    """Stream a piece every 50 ms, for 20 seconds."""
    begun, *_ = events(said())
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    deltas = (
        event("response.output_text.delta", number, delta=f"{number} ", **where)
        for number in range(1, 400)
    )
    return await stream(request, [begun, *deltas], pause=0.05)


async def refuse_filtered(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer 400 to a short history and well to a long one."""
    if len(received.json["input"]) < 7:
        error = {"message": "Turns!", "type": "invalid_request_error", "param": "input"}
        return web.json_response({"error": error | {"code": None}}, status=400)
    return await well(request, received)


BEHAVIOURS: dict[str, Behaviour] = {
    "responses": well,
    "responses-cut": cut,
    "responses-ended": ended,
    "responses-error": error_event,
    "responses-slow": slow,
    "responses-refuse-filtered": refuse_filtered,
}
