"""Gemini's API, as far as a coding agent's session needs it."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests import gemini
from tests.clients.agents.script import Step, Tool
from tests.fakes import Received


class Gemini:
    """Reads requests to `:streamGenerateContent`, writes their answers."""

    def step(self, body: Any) -> int | None:
        if not body.get("tools"):
            return None
        return sum(content["role"] == "model" for content in body["contents"])

    def events(self, number: int, step: Step, tool: Tool) -> list[bytes]:
        calls: list[dict[str, Any]] = [
            {"functionCall": {"name": tool.name, "args": tool.arguments(command)}}
            for command in step.commands
        ]
        if calls:
            calls[0]["thoughtSignature"] = f"c2ln{number:04}"
        chunks = [
            gemini.answer({"text": f"Step {number}.", "thought": True}),
            gemini.answer({"text": step.words}),
            gemini.answer(*calls or [{"text": ""}], finishReason="STOP"),
        ]
        return [_event(chunk) for chunk in chunks]

    async def beside(self, request: web.Request, received: Received) -> web.StreamResponse:
        return await gemini.well(request, received)

    def error(self, status: int, words: str) -> Any:
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED"}
        return {"error": {"code": status, "message": words, "status": names.get(status, "X")}}

    def error_event(self, words: str) -> bytes:
        return _event(self.error(503, words))


def _event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\r\n\r\n"
