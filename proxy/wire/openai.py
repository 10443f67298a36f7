"""OpenAI's chat completions: read a request, write the kept messages back, its errors.

A request is taken apart without decoding its messages: each stays the bytes that came, so that
what is kept is sent on byte for byte, numbers and unknown fields included, and a message that was
seen in the previous turn is found again by its digest alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from proxy import tokens
from proxy.errors import InvalidMessages, InvalidRequest, ProxyError
from proxy.memory import BoundedMemory, digest_of
from proxy.relevance.messages import Message

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


_decoder = msgspec.json.Decoder(_Completion)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


@dataclass(frozen=True, slots=True)
class Request:
    """A sound request: its own bytes, and what the proxy needs to know of it."""

    body: bytes
    model: str
    is_streamed: bool
    raw_messages: list[bytes]
    messages: list[Message]


def read(body: bytes, *, most_messages: int) -> Request:
    """Check a body and read its messages.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    try:
        asked = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    if len(asked.messages) > most_messages:
        raise InvalidMessages(
            f"There are {len(asked.messages)} messages; at most {most_messages} are taken.",
            param="messages",
        )
    raw = [bytes(message) for message in asked.messages]
    messages = [_message(each, place) for place, each in enumerate(raw)]
    return Request(body, asked.model, bool(asked.stream), raw, messages)


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
    for raw, message in zip(request.raw_messages, request.messages, strict=True):
        content = None if message.is_plain else msgspec.json.decode(raw).get("content")
        if isinstance(content, list) and any(p["type"] not in _TEXT_PARTS for p in content):
            return True
    return False


def error(made: ProxyError) -> bytes:
    """Return an error's body."""
    return msgspec.json.encode(_error(made))


def broken(made: ProxyError) -> bytes:
    """Return the event that ends a stream which broke after it began.

    The blank line before it ends a half-sent event, so that this one is read on its own.
    """
    return b"\n\ndata: " + msgspec.json.encode(_error(made)) + b"\n\n"


def _error(made: ProxyError) -> dict[str, Any]:
    return {
        "error": {
            "message": made.message,
            "type": made.type,
            "code": made.code,
            "param": made.param,
        }
    }


def _explained(said: str) -> InvalidRequest:
    """Return our error for a validation error of msgspec's ("Expected `x`, got `y` - at `$.z`")."""
    what, _, where = said.partition(" - at ")
    missing = re.search(r"missing required field `(\w+)`", what)
    param = missing[1] if missing else where.strip("`").removeprefix("$").lstrip(".")
    if missing:
        message = f"'{param}' is required."
    elif param:
        message = f"'{param}' is not valid: {what[:1].lower()}{what[1:]}."
    else:
        message = "The body must be a JSON object."
    if param == "messages":
        if not missing:
            message = "'messages' must be a non-empty array of messages."
        return InvalidMessages(message, param=param)
    return InvalidRequest(message, param=param or None)


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
        is_protected=_has_cache_mark(message),
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


def _joined(request: Request, run: list[int]) -> bytes:
    """Return one message for a run: itself byte for byte, or the join of several plain ones."""
    if len(run) == 1:
        return request.raw_messages[run[0]]
    said = [msgspec.json.decode(request.raw_messages[index]) for index in run]
    content = "\n\n".join(message["content"] for message in said)
    return msgspec.json.encode({"role": said[0]["role"], "content": content})
