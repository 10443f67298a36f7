"""The proxy's endpoints in the OpenAPI schema: they are no DRF views, so they are told here."""

from __future__ import annotations

from typing import Any

from proxy.cost import policy
from proxy.openapi_decisions import add_decisions
from proxy.relevance import modes

_TARGET = {
    "name": "target",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": (
        "`default` for the built-in model; or the name of a stored provider; or a provider's base "
        "URL, written literally or "
        "percent-encoded, such as `https://api.openai.com/v1`; followed by `/` and the provider's "
        "key unless X-Upstream-Api-Key carries that."
    ),
}
_HEADERS: list[dict[str, Any]] = [
    {
        "name": "X-Upstream-Api-Key",
        "in": "header",
        "schema": {"type": "string"},
        "description": "The provider's key. The recommended way: a key in a path ends up in logs.",
    },
    {
        "name": "X-Alchemyst-Relevance",
        "in": "header",
        "schema": {"type": "string", "enum": [*modes.NAMES, "shadow"]},
        "description": "How strictly history is filtered; else the key's, user's or operator's. "
        "`shadow` tells what that one would do, and forwards the original.",
    },
    {
        "name": "X-Alchemyst-Cost",
        "in": "header",
        "schema": {"type": "string", "enum": list(policy.NAMES)},
        "description": "How the cost of the request is looked at where its provider caches "
        "prompts; else the key's, user's, provider's or operator's. A preview looks at it if asked "
        "to.",
    },
    {
        "name": "X-Alchemyst-Pin",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Messages that must stay, by place: `first,3,-1` or `4-9`.",
    },
    {
        "name": "X-Alchemyst-Exclude",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Messages to leave out, by place.",
    },
]
_MESSAGE = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {
            "type": "string",
            "enum": ["system", "developer", "user", "assistant", "tool", "function"],
        },
        "content": {
            "oneOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "object", "required": ["type"]}},
                {"type": "null"},
            ]
        },
    },
    "additionalProperties": True,
}
_penalty = {"type": "number", "minimum": -2, "maximum": 2}
_COMPLETION = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "minLength": 1, "example": "alchemyst-ai/alchemyst-c1"},
        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
        "stream": {"type": "boolean"},
        "max_tokens": {"type": "integer", "minimum": 0},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
        "frequency_penalty": _penalty,
        "presence_penalty": _penalty,
    },
    "additionalProperties": True,
    "description": "Every other field goes to the provider as it came.",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"]},
            },
        }
    },
}
_GEMINI_TARGET = _TARGET | {
    "description": (
        "The provider's base URL, written literally or percent-encoded, up to the version: "
        "`https://generativelanguage.googleapis.com`; or the name of a stored provider."
    )
}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "enum": ["v1beta", "v1", "v1alpha"]},
}
_MODEL = {
    "name": "model",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "The model's name, such as `gemini-2.5-flash`.",
}
_TASK = {
    "name": "task",
    "in": "path",
    "required": True,
    "schema": {
        "type": "string",
        "enum": [
            "generateContent",
            "streamGenerateContent",
            "countTokens",
            "embedContent",
            "batchEmbedContents",
        ],
    },
    "description": "Any task of the provider's. Only the first two have their history filtered.",
}
_GEMINI_KEYS: list[dict[str, Any]] = [
    {
        "name": "x-goog-api-key",
        "in": "header",
        "schema": {"type": "string"},
        "description": "The provider's key; X-Upstream-Api-Key is taken too.",
    },
    {
        "name": "key",
        "in": "query",
        "schema": {"type": "string"},
        "description": "The provider's key, as some clients send it; forwarded in the header.",
    },
]
_ALT = {
    "name": "alt",
    "in": "query",
    "schema": {"type": "string"},
    "description": "`sse` streams events; without it a stream is one JSON array.",
}
_GENERATION = {
    "type": "object",
    "required": ["contents"],
    "properties": {
        "contents": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "role": {"type": "string", "enum": ["user", "model", "function"]},
                    "parts": {"type": "array", "items": {"type": "object"}},
                },
                "additionalProperties": True,
            },
        },
        "generationConfig": {"type": "object"},
        "safetySettings": {"type": "array", "items": {"type": "object"}},
        "systemInstruction": {"oneOf": [{"type": "object"}, {"type": "string"}]},
        "cachedContent": {"type": "string", "description": "With it, nothing is filtered."},
    },
    "additionalProperties": True,
    "description": "Every other field, and either spelling, goes to the provider as it came.",
}
_GEMINI_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "status": {"type": "string"},
            },
        }
    },
}
_ERRORS = {
    "400": "The body or the target is not valid.",
    "401": "The token is missing, expired or revoked.",
    "403": "The API key lacks the scope `proxy`, or its lists don't name this model or host.",
    "404": "No such endpoint, or no such model on `default`.",
    "413": "The body is too large.",
    "429": "Too many requests, or too many at once: wait as long as Retry-After says.",
    "502": "The provider could not be reached.",
    "503": "The built-in model is not running, or a stored key can't be read.",
    "504": "The provider did not answer in time.",
}
_ANSWER = {
    "description": "The provider's answer as it is, streamed when asked for.",
    "headers": {
        "X-Alchemyst-Context": {
            "schema": {"type": "string"},
            "description": "Mode; messages kept and dropped; tokens before and after; ms.",
        },
        "X-Alchemyst-Request-Id": {"schema": {"type": "string"}},
    },
    "content": {
        "application/json": {"schema": {"type": "object"}},
        "text/event-stream": {"schema": {"type": "string"}},
    },
}
_LIST = {
    "description": "The provider's answer as it is.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


def with_proxy_paths(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the proxy's paths to the schema that drf-spectacular made of the DRF views."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProxyError"] = _ERROR
    schemas["CompletionRequest"] = _COMPLETION
    schemas["GeminiError"] = _GEMINI_ERROR
    schemas["GenerateContentRequest"] = _GENERATION
    paths = result.setdefault("paths", {})
    paths["/api/v1/proxy/{target}/chat/completions"] = {"post": _completions()}
    paths["/api/v1/proxy/{target}/models"] = {"get": _models()}
    resource = "/api/v1/proxy/{target}/{version}/models"
    paths[f"{resource}/{{model}}:{{task}}"] = {"post": _gemini_task()}
    paths[resource] = {"get": _gemini_models("proxy_gemini_models", "List Gemini's models")}
    paths[f"{resource}/{{model}}"] = {
        "get": _gemini_models("proxy_gemini_model", "Describe a model of Gemini's", _MODEL)
    }
    add_decisions(result, _errors, _HEADERS[1:])
    return result


def _completions() -> dict[str, Any]:
    return {
        "operationId": "proxy_chat_completions",
        "summary": "Complete a chat, with irrelevant and repeated history left out",
        "tags": ["proxy"],
        "security": [{"bearer": []}],
        "parameters": [_TARGET, *_HEADERS],
        "requestBody": _body("CompletionRequest"),
        "responses": {"200": _ANSWER} | _errors("ProxyError"),
    }


def _gemini_task() -> dict[str, Any]:
    parameters = [_GEMINI_TARGET, _VERSION, _MODEL, _TASK, *_GEMINI_KEYS, _ALT, *_HEADERS[1:]]
    return {
        "operationId": "proxy_gemini",
        "summary": "Ask Gemini, with irrelevant and repeated history left out",
        "tags": ["proxy"],
        "security": [{"bearer": []}],
        "parameters": parameters,
        "requestBody": _body("GenerateContentRequest"),
        "responses": {"200": _ANSWER} | _errors("GeminiError"),
    }


def _models() -> dict[str, Any]:
    return {
        "operationId": "proxy_models",
        "summary": "List a provider's models",
        "tags": ["proxy"],
        "security": [{"bearer": []}],
        "parameters": [_TARGET, _HEADERS[0]],
        "responses": {"200": _LIST} | _errors("ProxyError"),
    }


def _gemini_models(operation: str, summary: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["proxy"],
        "security": [{"bearer": []}],
        "parameters": [_GEMINI_TARGET, _VERSION, *more, *_GEMINI_KEYS],
        "responses": {"200": _LIST} | _errors("GeminiError"),
    }


def _body(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"required": True, "content": content}


def _errors(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {status: {"description": said, "content": content} for status, said in _ERRORS.items()}
