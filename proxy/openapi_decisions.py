"""The preview and the decision records in the OpenAPI schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Returns the proxy's error answers, in the shape of the schema of that name.
Errors = Callable[[str], dict[str, Any]]

_TOTALS = {
    "type": "object",
    "required": [
        "messages_before",
        "messages_after",
        "tokens_before",
        "tokens_after",
        "milliseconds",
    ],
    "properties": {
        "messages_before": {"type": "integer"},
        "messages_after": {"type": "integer"},
        "tokens_before": {"type": "integer"},
        "tokens_after": {"type": "integer"},
        "milliseconds": {"type": "number"},
    },
}
_DECISION: dict[str, Any] = {
    "type": "object",
    "required": ["index", "role", "fate", "reason", "score", "tokens"],
    "properties": {
        "index": {"type": "integer", "description": "The message's place, from 0."},
        "role": {"type": "string"},
        "fate": {"type": "string", "enum": ["kept", "dropped", "joined", "protected"]},
        "reason": {"type": "string", "example": "below threshold"},
        "score": {
            "type": ["number", "null"],
            "description": "Its exchange's share of the best exchange's score.",
        },
        "tokens": {"type": "integer"},
    },
}
_COST: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "What the cost gate decided, where it was asked; costs in tokens of input.",
    "properties": {
        "preset": {"type": "string"},
        "mode": {
            "type": "string",
            "enum": ["full", "continue", "recall", "moved", "back", "cut", "fresh"],
        },
        "moved": {"type": "integer", "description": "Messages that stand before the question."},
        "reason": {"type": "string", "example": "cheapest"},
        "estimated": {"type": "integer"},
        "estimated_whole": {"type": "integer"},
        "expected_cached": {"type": "integer"},
        "bank": {"type": "integer"},
    },
}
_RECORDED = {
    "digest": {"type": "string", "description": "SHA-256 of the message's bytes."},
    "text": {"type": "string", "description": "Where the key's records hold texts."},
}
_SUMMARY: dict[str, Any] = {
    "mode": {"type": "string", "example": "very_strict"},
    "result": {"type": "string", "example": "filtered"},
    "totals": {"$ref": "#/components/schemas/ContextTotals"},
}


def add_decisions(result: dict[str, Any], errors: Errors, headers: list[Any]) -> None:
    """Add the paths and their schemas to `result`; `errors` and `headers` are the proxy's own."""
    decision = {"$ref": "#/components/schemas/Decision"}
    recorded = _object({"digest": _RECORDED["digest"]}, others={"text": _RECORDED["text"]})
    result["components"]["schemas"] |= {
        "ContextTotals": _TOTALS,
        "Decision": _DECISION,
        "Preview": _object(
            _SUMMARY | {"cost": _COST, "messages": {"type": "array", "items": decision}}
        ),
        "DecisionRecord": _object(
            {
                "id": {"type": "string"},
                "created": {"type": "string", "format": "date-time"},
                "expires": {"type": "string", "format": "date-time"},
                "key_id": {"type": "string"},
                "model": {"type": "string"},
                **_SUMMARY,
                "messages": {"type": "array", "items": {"allOf": [decision, recorded]}},
            }
        ),
    }
    own = errors("ProxyError")
    paths, prefix = result["paths"], "/api/v1/proxy"
    contents = {"$ref": "#/components/schemas/GenerateContentRequest"}
    gemini = _preview("proxy_preview_gemini", errors("GeminiError"), headers, contents)
    gemini["parameters"] = [*gemini["parameters"], _in_path("model")]
    asked = {"$ref": "#/components/schemas/CompletionRequest"}
    paths[f"{prefix}/preview"] = {"post": _preview("proxy_preview", own, headers, asked)}
    paths[f"{prefix}/preview/v1beta/models/{{model}}:generateContent"] = {"post": gemini}
    paths[f"{prefix}/requests/{{id}}"] = {"get": _record(own)}


def _preview(
    name: str, errors: dict[str, Any], headers: list[Any], body: dict[str, Any]
) -> dict[str, Any]:
    return _operation(
        name, "Tell what the filter would do with each message", "Preview", errors
    ) | {
        "parameters": headers,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
    }


def _record(errors: dict[str, Any]) -> dict[str, Any]:
    summary = "Show what was decided of each message of a request"
    return _operation("proxy_request", summary, "DecisionRecord", errors) | {
        "parameters": [_in_path("id")]
    }


def _operation(name: str, summary: str, schema: str, errors: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["proxy"],
        "security": [{"bearer": []}],
        "responses": {
            "200": {"description": "The decisions.", "content": content},
            # Nobody else is asked.
            **{status: said for status, said in errors.items() if status < "500"},
        },
    }


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _object(required: dict[str, Any], *, others: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = required | (others or {})
    return {"type": "object", "required": list(required), "properties": properties}
