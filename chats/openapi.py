"""The endpoints of answers in the OpenAPI schema: they are no DRF views, so they are told here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from personas.models import SCOPES

_ID = {"type": "string", "format": "uuid"}
_TEXT = {"type": "string"}
_SAID = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "id": {"type": "string", "maxLength": 100, "description": "The client's own, if any."},
        "role": {"type": "string", "enum": ["user", "assistant", "system"]},
        "content": {"type": "string", "minLength": 1},
    },
}
_MANNER: dict[str, Any] = {
    "persona": {"type": "string", "description": "Its slug; `maya` if none is named."},
    "scope": {"type": "string", "enum": list(SCOPES), "default": "internal"},
    "voice": {"type": "boolean", "description": "Short and speakable, without markdown."},
    "fastContext": {
        "type": "array",
        "maxItems": 200,
        "description": "What the answer should rest on: the best that fits is given to the model.",
        "items": {
            "oneOf": [
                _TEXT,
                {
                    "type": "object",
                    "required": ["content"],
                    "properties": {"content": _TEXT, "title": _TEXT},
                    "additionalProperties": True,
                },
            ]
        },
    },
}
_TOOLS = {
    "type": "object",
    "properties": {"research": {"type": "boolean"}},
    "additionalProperties": True,
    "description": "`research` plans searches in the given texts and in your earlier chats first.",
}
_STREAM = {"type": "boolean", "description": "Answer as the streaming endpoint does."}
_HISTORY = {"type": "array", "minItems": 1, "maxItems": 2000, "items": _SAID}
_BODIES: dict[str, Any] = {
    "ChatAnswerRequest": {
        "type": "object",
        "required": ["chat_history"],
        "properties": {"chat_history": _HISTORY, **_MANNER},
    },
    "ChatGenerateRequest": {
        "type": "object",
        "required": ["chat_history"],
        "properties": {
            "chat_history": _HISTORY
            | {"description": "What the chat has already is not added again."},
            **_MANNER,
            "tools": _TOOLS,
            "stream": _STREAM,
        },
    },
    "ChatRegenerateRequest": {
        "type": "object",
        "properties": {
            "messageId": _ID | {"description": "An answer, or a question to edit; else the last."},
            "content": {"type": "string", "description": "The question's new words."},
            **_MANNER,
            "tools": _TOOLS,
            "stream": _STREAM,
        },
    },
    "ChatContinueRequest": {
        "type": "object",
        "properties": {"messageId": _ID, "stream": _STREAM},
    },
}
_RESULT = {
    "type": "object",
    "required": ["message", "persona"],
    "properties": {"message": _TEXT, "persona": {"type": ["string", "null"]}},
}
_ANSWERS: dict[str, Any] = {
    "ChatAnswer": {
        "type": "object",
        "required": ["result", "metadata"],
        "properties": {"result": _RESULT, "metadata": {"type": "object"}},
    },
    "ChatMetadata": {
        "type": "object",
        "properties": {
            "chatId": _ID,
            "title": _TEXT,
            "replaySessionID": _ID,
            "messageId": _ID,
            "questionId": _ID,
            "persona": {"type": ["string", "null"]},
            "model": _TEXT,
            "state": {
                "type": "string",
                "enum": ["complete", "stopped", "incomplete", "failed"],
            },
            "usage": {"type": "object", "additionalProperties": {"type": ["integer", "null"]}},
            "context": {"type": "object", "description": "What the model was given, and why."},
            "sources": {"type": "array", "items": {"type": "object"}},
            "timeTaken": {"type": "integer", "description": "Milliseconds."},
        },
    },
    "ChatGenerated": {
        "type": "object",
        "required": ["result", "chatId", "title", "researchMode", "stream", "replaySessionID"],
        "properties": {
            "result": _RESULT,
            "chatId": _ID,
            "title": _TEXT,
            "messageId": _ID,
            "questionId": _ID,
            "replaySessionID": _ID,
            "researchMode": {"type": "boolean"},
            "stream": {"type": "boolean"},
            "metadata": {"$ref": "#/components/schemas/ChatMetadata"},
        },
    },
}
_EVENTS = """Server-sent events, each with an `id`: `{"type": "thinking_update", "content"}` for
each step, `{"type": "response_delta", "content"}` for each piece, one `{"type": "final_response",
"content", "json"}`, one `{"type": "metadata", "content": ChatMetadata}`, then `[DONE]`. An answer
that failed or broke off has `{"content": null, "error": {"message", "type", "code", "status"}}`
in place of the final response, after the metadata. Comments keep an idle connection open."""
_ERRORS = {
    "400": "The body, the query or a header is not valid, or the persona is not known.",
    "401": "The token is missing, expired or revoked.",
    "403": "The key or the persona lacks the scope, or a page's CSRF token is missing.",
    "404": "There is no such chat, message or replay session of yours.",
    "409": "An answer is being written in this chat, or the key belongs to another question.",
    "413": "The body is too large.",
    "429": "Too many requests, or answers at once: wait as long as Retry-After says.",
    "502": "The model's provider failed or broke off; `details` names what was kept.",
    "503": "The server is restarting, or the model has too much to do.",
    "504": "The model's provider did not answer in time.",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 200},
    "description": "The same question with the same key is one question, one call, one answer.",
}
_LAST = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": {"type": "integer"},
    "description": "The last event that the client has; the stream goes on after it.",
}


def with_chat_paths(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the endpoints of answers to the schema that drf-spectacular made of the DRF views."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_BODIES | _ANSWERS)
    paths = result.setdefault("paths", {})
    for path, method, operation in _endpoints():
        paths.setdefault(f"/api/v1/chat{path}", {})[method] = operation
    return result


def _endpoints() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation of each endpoint."""
    asking = [*(_query(name) for name in ("chatId", "username", "source", "title")), _KEY]
    chat, session = _in_path("chatId"), _in_path("replaySessionID")
    made = (201, "ChatGenerated")

    said = "Answer without keeping anything"
    yield "", "post", _operation("chat", said, [], "ChatAnswerRequest", 200, "ChatAnswer")
    said, body = "Answer in a chat", "ChatGenerateRequest"
    yield "/generate", "post", _operation("chat_generate", said, asking, body, *made)
    said, resuming = f"{said}, as it is made", [*asking, _LAST]
    stream = _operation("chat_generate_stream", said, resuming, body)
    yield "/generate/stream", "post", stream
    said = "Read an answer again, live or ended"
    replay = "/replay/{replaySessionID}"
    yield replay, "get", _operation("chat_replay", said, [session, _LAST])
    said = "Stop an answer and keep what there is"
    stop = _operation("chat_stop", said, [session], None, 200, "ChatMetadata")
    yield f"{replay}/stop", "post", stop
    said, body = "Answer once more, or an edited question, on a new branch", "ChatRegenerateRequest"
    yield "/{chatId}/regenerate", "post", _operation("chat_regenerate", said, [chat], body, *made)
    said, body = "Go on with an answer that broke off or was stopped", "ChatContinueRequest"
    yield "/{chatId}/continue", "post", _operation("chat_continue", said, [chat], body, *made)


def _operation(
    name: str,
    summary: str,
    parameters: list[dict[str, Any]],
    body: str | None = None,
    status: int = 200,
    answer: str | None = None,
) -> dict[str, Any]:
    if answer:
        success = {"description": summary, "content": _json(answer)}
    else:
        success = {
            "description": _EVENTS,
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    errors = {
        code: {"description": said, "content": _json("Error")} for code, said in _ERRORS.items()
    }
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": ["chat"],
        "security": [{"bearer": []}],
        "parameters": parameters,
        "responses": {str(status): success} | errors,
    }
    if body:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _ID}
