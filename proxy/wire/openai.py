"""OpenAI's chat completions: read a request, write the kept messages back, its errors.

A request is taken apart without decoding its messages: each stays the bytes that came, so that
what is kept is sent on byte for byte, numbers and unknown fields included, and a message that was
seen in the previous turn is found again by its digest alone.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from proxy import tokens
from proxy.errors import InvalidMessages, InvalidRequest, ProxyError
from proxy.memory import BoundedMemory, digest_of
from proxy.relevance.joins import BETWEEN
from proxy.relevance.messages import Message
from proxy.wire.checks import check_number, explained
from proxy.wire.counts import counted, objects_after
from proxy.wire.dialect import Counts, Request, Route, Scope
from proxy.wire.lists import narrowed

COMPLETIONS: Final = "chat/completions"
NAME = "openai"
OWN_HOST = "api.openai.com"
SUPPORTED = (
    "Use POST /api/v1/proxy/{target}/chat/completions or GET /api/v1/proxy/{target}/models, "
    "where the target is https://api.openai.com/v1, or default."
)

# endpoint: (method, whether its body holds a conversation)
_ENDPOINTS = {COMPLETIONS: ("POST", True), "models": ("GET", False)}

_Penalty = Annotated[float, Meta(ge=-2, le=2)]

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TEXT_PARTS = ("text", "refusal")
_PLAIN_FIELDS = {"role", "content"}
_MAY_LACK_CONTENT = ("assistant", "function")
# What providers that speak OpenAI's format call them: OpenAI, DeepSeek, gateways to Claude.
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_USAGE = re.compile(rb'"usage"\s*:\s*(?=\{)')

# Messages of earlier requests, by digest: of a history of a hundred, a new turn brings two.
_seen: BoundedMemory[Message] = BoundedMemory(size=16 * 1024 * 1024)


class _Completion(msgspec.Struct):
    """What is checked of a request; every other field passes untouched."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Raw], Meta(min_length=1)]
    stream: bool | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    response_format: Raw = Raw()
    tools: Raw = Raw()
    functions: Raw = Raw()


_decoder = msgspec.json.Decoder(_Completion)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` speak this dialect for certain; lists of models others have."""
    return path.endswith("/chat/completions")


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for; the query is ours alone."""
    for endpoint, (method, is_filtered) in _ENDPOINTS.items():
        if path.endswith(f"/{endpoint}"):
            target = path[: -len(endpoint) - 1]
            return Route(target, f"/{endpoint}", endpoint, method, is_filtered)
    return None


def key(scope: Scope) -> str | None:
    """Return None: the provider's key is the last segment of the path."""
    return None


def credential(key: str) -> tuple[str, str]:
    """Return the header by which the provider is shown its key."""
    return "Authorization", f"Bearer {key}"


def read(body: bytes, route: Route, *, most_messages: int) -> Request:
    """Check a body and read its messages.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    with explained("messages"):
        asked = _decoder.decode(body)
    check_number(asked.messages, most_messages, field="messages")
    raw = [bytes(message) for message in asked.messages]
    messages = [_message(each, place) for place, each in enumerate(raw)]
    if b"json_object" in bytes(asked.response_format):
        _protect_last_naming_json(messages)
    front = b"".join(map(bytes, (asked.tools, asked.functions, asked.response_format)))
    has_tools = bool(bytes(asked.tools) or bytes(asked.functions))
    return Request(body, asked.model, raw, messages, front, has_tools)


def written(request: Request, runs: list[list[int]]) -> bytes:
    """Return the request's body with only the messages in `runs`, each run joined to one.

    All other fields keep their bytes and their order.
    """
    fields = _fields_decoder.decode(request.body)
    kept = b",".join(_joined(request, run) for run in runs)
    fields["messages"] = Raw(b"[" + kept + b"]")
    return msgspec.json.encode(fields)


def with_model(body: bytes, model: str) -> bytes:
    """Return the body with another model's name."""
    fields = _fields_decoder.decode(body)
    fields["model"] = Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


def has_media(request: Request) -> bool:
    """Whether any message has a part that is no text: an image, audio, a file."""
    return any(
        _has_media(msgspec.json.decode(raw))
        for raw, message in zip(request.raw_messages, request.messages, strict=True)
        if not message.is_plain
    )


class _Listed(msgspec.Struct):
    id: str


_listed_decoder = msgspec.json.Decoder(_Listed)


def listed(body: bytes, *, may_use: Callable[[str], bool]) -> bytes | None:
    """Return a list of models without those that may not be used; None where it is no list."""
    return narrowed(body, "data", lambda entry: may_use(_listed_decoder.decode(entry).id))


def reported(tail: bytes) -> Counts:
    """Return the provider's own token counts from the end of its answer, where it gave them.

    The last `usage` that is an object counts: in a stream, earlier ones are null or partial.
    """
    found = deque(objects_after(_USAGE, tail), maxlen=1)
    return counts_in(found[0] if found else {})


def counts_in(usage: dict[str, Any]) -> Counts:
    """Return what a provider's `usage` says."""
    given = usage.get("prompt_tokens_details")
    details = given if isinstance(given, dict) else {}
    return {
        "prompt_tokens": counted(usage.get("prompt_tokens")),
        "completion_tokens": counted(usage.get("completion_tokens")),
        "cached_tokens": _first_count(usage, details, _CACHED),
        "written_tokens": _first_count(usage, details, _WRITTEN),
    }


def _first_count(
    usage: dict[str, Any], details: dict[str, Any], names: tuple[str, ...]
) -> int | None:
    """Return the first count of these names, in the usage's details or in itself."""
    for name in names:
        if name in details:
            return counted(details[name])
        if name in usage:
            return counted(usage[name])
    return None


def error(made: ProxyError) -> bytes:
    """Return an error's body."""
    return msgspec.json.encode(_error(made))


def broken(made: ProxyError) -> bytes:
    """Return the event that ends a stream which broke after it began.

    The blank line before it ends a half-sent event, so that this one is read on its own.
    """
    return b"\n\ndata: " + msgspec.json.encode(_error(made)) + b"\n\n"


def closing(tail: bytes, made: ProxyError) -> bytes | None:
    """Return None: an answer that broke off is cut, which no client takes for success."""
    return None


def _error(made: ProxyError) -> dict[str, Any]:
    return {
        "error": {
            "message": made.message,
            "type": made.type,
            "code": made.code,
            "param": made.param,
        }
    }


def _protect_last_naming_json(messages: list[Message]) -> None:
    """Keep a message with the word: without one, OpenAI refuses the format `json_object`."""
    for place in reversed(range(len(messages))):
        if "json" in messages[place].text.lower():
            messages[place] = replace(messages[place], is_protected=True)
            return


def _message(raw: bytes, place: int) -> Message:
    digest = digest_of(raw)
    known = _seen.get(digest)
    if known is None:
        known = _read_message(raw, digest, f"messages[{place}]")
        _seen.put(digest, known, cost=len(raw) + 400)
    return known


def _read_message(raw: bytes, digest: bytes, place: str) -> Message:
    try:
        message = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.", param=place) from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.", param=place) from None
    if not isinstance(message, dict):
        raise InvalidMessages(f"{place} must be an object with role and content.", param=place)
    said_role = message.get("role")
    role = _ROLES.get(said_role) if isinstance(said_role, str) else None
    if role is None:
        raise InvalidMessages(
            f"{place}.role must be one of {', '.join(_ROLES)}.", param=f"{place}.role"
        )
    said = _texts(message, place)
    calls = _calls(message, place)
    name = message.get("name")
    text = "\n".join(said + [called for _, called in calls])
    is_plain = message.keys() <= _PLAIN_FIELDS and isinstance(message.get("content"), str)
    return Message(
        role=role,
        text=text,
        digest=digest,
        name=name if isinstance(name, str) else "",
        calls=tuple(id for id, _ in calls if id),
        answers=_answers(message),
        is_plain=is_plain,
        is_protected=_has_cache_mark(message) or _has_media(message),
        tokens=tokens.PER_MESSAGE + (tokens.PER_NAME if name else 0) + tokens.count(text),
    )


def _texts(message: dict[str, Any], place: str) -> list[str]:
    """Return the texts of a message's content; parts that are no text have none."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if content is None and message["role"] in _MAY_LACK_CONTENT:
        return []
    if not isinstance(content, list) or not all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
    ):
        raise InvalidMessages(
            f"{place}.content must be a string or an array of parts that have a type.",
            param=f"{place}.content",
        )
    texts = (part.get("text") or part.get("refusal") for part in content)
    return [text for text in texts if isinstance(text, str)]


def _calls(message: dict[str, Any], place: str) -> list[tuple[str, str]]:
    """Return (id, name and arguments) of each tool call; the older function_call has no id."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise InvalidMessages(
            f"{place}.tool_calls must be an array of objects.", param=f"{place}.tool_calls"
        )
    made = []
    for call in calls:
        asked = call.get("function") or call.get("custom")
        id = call.get("id")
        made.append((id if isinstance(id, str) else "", _called(asked)))
    if message.get("function_call"):
        made.append(
            (f"function:{_name_in(message['function_call'])}", _called(message["function_call"]))
        )
    return made


def _called(asked: Any) -> str:
    if not isinstance(asked, dict):
        return ""
    said = (asked.get("name"), asked.get("arguments") or asked.get("input"))
    return " ".join(word for word in said if isinstance(word, str))


def _name_in(asked: Any) -> str:
    name = asked.get("name") if isinstance(asked, dict) else None
    return name if isinstance(name, str) else ""


def _answers(message: dict[str, Any]) -> tuple[str, ...]:
    id = message.get("tool_call_id")
    if isinstance(id, str):
        return (id,)
    return (f"function:{_name_in(message)}",) if message["role"] == "function" else ()


def _has_cache_mark(message: dict[str, Any]) -> bool:
    """Whether a client marked the message, or a part of it, for a provider's prompt cache."""
    parts = message["content"] if isinstance(message.get("content"), list) else []
    return "cache_control" in message or any("cache_control" in part for part in parts)


def _has_media(message: dict[str, Any]) -> bool:
    """Whether a part of the message is no text."""
    content = message.get("content")
    return isinstance(content, list) and any(part["type"] not in _TEXT_PARTS for part in content)


def _joined(request: Request, run: list[int]) -> bytes:
    """Return one message for a run: itself byte for byte, or the join of several plain ones."""
    if len(run) == 1:
        return request.raw_messages[run[0]]
    said = [msgspec.json.decode(request.raw_messages[index]) for index in run]
    content = BETWEEN.join(message["content"] for message in said)
    return msgspec.json.encode({"role": said[0]["role"], "content": content})
