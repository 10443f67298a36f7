"""The same conversation and answer in each dialect, shaped as its own provider shapes them.

A stream's pieces hold `tok@` and the moment they were written, and its last event `[DONE]`, which
the harness's load generator looks for in every dialect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

ANSWER = (
    "The quick answer is that a proxy must forward it unchanged, whatever it says. " * 8
).strip()
STAMP = "tok@%019d "
_KEY_IN_PATH = "/api/v1/proxy/http%3A%2F%2F127.0.0.1%3A{up}%2Fv1/sk-bench"
_KEY_IN_HEADER = "/api/v1/proxy/http%3A%2F%2F127.0.0.1%3A{up}"
_CHAT = {"id": "chatcmpl-mock", "created": 1700000000, "model": "mock"}
_CHAT_USAGE = {"prompt_tokens": 61, "completion_tokens": 120, "total_tokens": 181}
_CLAUDE_USAGE = {
    "input_tokens": 61,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 120,
    "service_tier": "standard",
}
_RESPONSE_USAGE = {
    "input_tokens": 61,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 120,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 181,
}
_GEMINI_USAGE = {
    "promptTokenCount": 61,
    "candidatesTokenCount": 120,
    "totalTokenCount": 181,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 61}],
}
Message = dict[str, str]
Fields = dict[str, object]


class Shape(NamedTuple):
    """How a dialect asks and is answered; a stream is what begins it, its pieces, what ends it."""

    path: str
    streamed_path: str
    headers: dict[str, str]
    body: Callable[[list[Message], bool, str], Fields]
    """Of a conversation, whether its answer is streamed, and the model."""

    whole: Fields
    begin: bytes = b""
    piece: bytes = b""
    """With a place for STAMP's number."""

    end: bytes = b""


def _event(fields: Fields, *, is_named: bool = False, line_end: str = "\n") -> bytes:
    name = f"event: {fields['type']}{line_end}" if is_named else ""
    data = json.dumps(fields, separators=(",", ":"))
    return f"{name}data: {data}{line_end}{line_end}".encode()


def _named(*events: Fields) -> bytes:
    return b"".join(_event(each, is_named=True) for each in events)


def _chat_body(messages: list[Message], is_streamed: bool, model: str) -> Fields:
    body: Fields = {"model": model, "messages": messages, "temperature": 0.2}
    return body | ({"stream": True} if is_streamed else {})


def _chunk(delta: Fields, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({**_CHAT, "object": "chat.completion.chunk", "choices": [choice]})


def _claude_body(messages: list[Message], is_streamed: bool, model: str) -> Fields:
    system, *turns = messages
    body: Fields = {"model": model, "max_tokens": 1024, "system": system["content"]}
    body |= {"messages": turns, "temperature": 0.2}
    return body | ({"stream": True} if is_streamed else {})


def _claude_message(content: list[Fields], stop_reason: str | None) -> Fields:
    return {
        "id": "msg_01mock",
        "type": "message",
        "role": "assistant",
        "model": "mock",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": _CLAUDE_USAGE,
    }


def _response_body(messages: list[Message], is_streamed: bool, model: str) -> Fields:
    system, *turns = messages
    body: Fields = {"model": model, "instructions": system["content"], "input": turns}
    body |= {"temperature": 0.2, "store": False}
    return body | ({"stream": True} if is_streamed else {})


def _output_item(text: str | None) -> Fields:
    item: Fields = {"id": "msg_mock", "type": "message", "role": "assistant"}
    if text is None:
        return item | {"status": "in_progress", "content": []}
    return item | {"status": "completed", "content": [_output_text(text)]}


def _output_text(text: str) -> Fields:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(text: str | None) -> Fields:
    return {
        "id": "resp_mock",
        "object": "response",
        "created_at": 1700000000,
        "status": "in_progress" if text is None else "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": "You are a careful assistant for an operations team.",
        "max_output_tokens": None,
        "model": "mock",
        "output": [] if text is None else [_output_item(text)],
        "parallel_tool_calls": True,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 0.2,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if text is None else _RESPONSE_USAGE,
        "metadata": {},
    }


def _gemini_body(messages: list[Message], is_streamed: bool, model: str) -> Fields:
    system, *turns = messages
    contents = [
        {"role": "model" if turn["role"] == "assistant" else "user", "parts": [_part(turn)]}
        for turn in turns
    ]
    settings = {"temperature": 0.2}
    return {
        "systemInstruction": {"parts": [_part(system)]},
        "contents": contents,
        "generationConfig": settings,
    }


def _part(message: Message) -> Fields:
    return {"text": message["content"]}


def _generated(text: str, finish: str = "", id: str = "mock") -> Fields:
    candidate: Fields = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "mock",
        "responseId": id,
    }


def _embedding_body(messages: list[Message], is_streamed: bool, model: str) -> Fields:
    return {"model": model, "input": messages[-1]["content"], "dimensions": 48}


_PLACE = {"item_id": "msg_mock", "output_index": 0, "content_index": 0}
_OPENED: list[Fields] = [
    {"type": "response.created", "response": _response(None)},
    {"type": "response.in_progress", "response": _response(None)},
    {"type": "response.output_item.added", "output_index": 0, "item": _output_item(None)},
    {"type": "response.content_part.added", **_PLACE, "part": _output_text("")},
]
_CLOSED: list[Fields] = [
    {"type": "response.output_text.done", **_PLACE, "text": ANSWER, "logprobs": []},
    {"type": "response.content_part.done", **_PLACE, "part": _output_text(ANSWER)},
    {"type": "response.output_item.done", "output_index": 0, "item": _output_item(ANSWER)},
    {
        "type": "response.completed",
        "response": _response(ANSWER) | {"metadata": {"end": "[DONE]"}},
    },
]
_DELTA: Fields = {"type": "response.output_text.delta", "sequence_number": 104, **_PLACE}
_DELTA |= {"delta": STAMP, "logprobs": [], "obfuscation": "Jx0fVw2Q"}
_TEXT_DELTA = {"type": "text_delta", "text": STAMP}

SHAPES = {
    "chat": Shape(
        f"{_KEY_IN_PATH}/chat/completions",
        f"{_KEY_IN_PATH}/chat/completions",
        {},
        _chat_body,
        {
            **_CHAT,
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": ANSWER},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _CHAT_USAGE,
        },
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": STAMP}),
        _chunk({}, "stop") + b"data: [DONE]\n\n",
    ),
    "messages": Shape(
        f"{_KEY_IN_HEADER}/v1/messages",
        f"{_KEY_IN_HEADER}/v1/messages",
        {"x-api-key": "sk-bench", "anthropic-version": "2023-06-01"},
        _claude_body,
        _claude_message([{"type": "text", "text": ANSWER}], "end_turn"),
        _named(
            {"type": "message_start", "message": _claude_message([], None)},
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            {"type": "ping"},
        ),
        _named({"type": "content_block_delta", "index": 0, "delta": _TEXT_DELTA}),
        _named(
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 120},
            },
            {"type": "message_stop", "mark": "[DONE]"},
        ),
    ),
    "responses": Shape(
        f"{_KEY_IN_PATH}/responses",
        f"{_KEY_IN_PATH}/responses",
        {},
        _response_body,
        _response(ANSWER),
        _named(*(each | {"sequence_number": number} for number, each in enumerate(_OPENED))),
        _named(_DELTA),
        _named(*(each | {"sequence_number": number} for number, each in enumerate(_CLOSED, 204))),
    ),
    "gemini": Shape(
        f"{_KEY_IN_HEADER}/v1beta/models/mock:generateContent",
        f"{_KEY_IN_HEADER}/v1beta/models/mock:streamGenerateContent?alt=sse",
        {"x-goog-api-key": "sk-bench"},
        _gemini_body,
        _generated(ANSWER, "STOP"),
        b"",
        _event(_generated(STAMP), line_end="\r\n"),
        _event(_generated("", "STOP", "[DONE]"), line_end="\r\n"),
    ),
    "embeddings": Shape(
        f"{_KEY_IN_PATH}/embeddings",
        "",
        {},
        _embedding_body,
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.0123456789] * 48}],
            "model": "mock",
            "usage": {"prompt_tokens": 61, "total_tokens": 61},
        },
    ),
}
