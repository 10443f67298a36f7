"""What is checked of the bodies of requests, in each format; any other field is the provider's."""

from __future__ import annotations

from typing import Any

from proxy.upstream import builtin
from proxy.wire.anthropic import turns as anthropic_turns
from proxy.wire.gemini import contents as gemini_contents
from proxy.wire.openai import messages as openai_messages
from proxy.wire.responses import items as response_items


def _optional(**schema: Any) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


_object = {"type": "object"}
_objects = {"type": "array", "items": _object}
_penalty = _optional(type="number")
_MESSAGE = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": list(openai_messages.ROLES)},
        "content": {"oneOf": [{"type": "string"}, _objects, {"type": "null"}]},
        "tool_calls": _optional(**_objects),
    },
}
COMPLETION = {
    "type": "object",
    "description": "Every other field goes to the provider as it came.",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "minLength": 1, "example": builtin.MODEL},
        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
        "stream": _optional(type="boolean"),
        "max_tokens": _optional(type="number"),
        "temperature": _optional(type="number"),
        "top_p": _optional(type="number"),
        "frequency_penalty": _penalty,
        "presence_penalty": _penalty,
    },
}
_CONTENT = {
    "type": "object",
    "properties": {
        "role": {"enum": list(gemini_contents.ROLES)},
        "parts": {"oneOf": [_objects, _object]},
    },
}
GENERATION = {
    "type": "object",
    "description": "Every other field, and either spelling, goes to the provider as it came.",
    "required": ["contents"],
    "properties": {
        "contents": {"type": "array", "minItems": 1, "items": _CONTENT},
        "generationConfig": _optional(**_object),
        "safetySettings": _optional(**_objects),
        "systemInstruction": {"type": ["object", "string", "null"]},
        "cachedContent": {"description": "With it, nothing is filtered."},
    },
}
_ITEM = {
    "type": "object",
    "description": "A message, which needs no type, or an item of any other type.",
    "properties": {
        "type": _optional(type="string"),
        "role": {"enum": [*response_items.ROLES, None]},
        "content": {"oneOf": [{"type": "string"}, _objects, {"type": "null"}]},
    },
}
RESPONSE = {
    "type": "object",
    "description": "Every other field goes to the provider as it came.",
    "properties": {
        "model": _optional(type="string", description="May be missing where there is a prompt."),
        "input": {"oneOf": [{"type": "string"}, {"type": "array", "items": _ITEM}]},
        "previous_response_id": {"description": "With it, nothing is filtered."},
        "conversation": {"description": "With it, nothing is filtered."},
        "prompt": {"description": "With it, nothing is filtered."},
    },
}


_TURN = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": list(anthropic_turns.ROLES)},
        "content": {"oneOf": [{"type": "string"}, _objects]},
    },
}
MESSAGES = {
    "type": "object",
    "description": "Every other field goes to the provider as it came.",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "messages": {"type": "array", "minItems": 1, "items": _TURN},
        "context_management": {"description": "With it, nothing is filtered."},
    },
}
