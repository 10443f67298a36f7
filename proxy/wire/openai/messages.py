"""One message of OpenAI's format: its role, its text, its calls and what they belong to.

What was read is remembered by the message's digest: of a history of a hundred, a new turn brings
two.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.common.errors import InvalidRequest
from proxy.common.lru import LRUCache, digest_of
from proxy.errors import InvalidMessages
from proxy.relevance.messages import Message
from proxy.wire import token_count

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TEXT_PARTS = ("text", "refusal")
_PLAIN_FIELDS = {"role", "content"}
_CACHE_MARKS = {"cache_control", "prompt_cache_breakpoint"}
_MAY_LACK_CONTENT = ("assistant", "function")

_seen: LRUCache[Message] = LRUCache(size=16 * 1024 * 1024)


def read(raw: bytes, place: int) -> Message:
    """Return a message of a request, read anew or remembered; raises as `openai.read` does."""
    digest = digest_of(raw)
    return _seen.get_or_make(
        digest, lambda: _read(raw, digest, f"messages[{place}]"), cost=len(raw) + 400
    )


def _read(raw: bytes, digest: bytes, place: str) -> Message:
    try:
        message = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.", param=place) from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.", param=place) from None
    if not isinstance(message, dict):
        raise InvalidMessages(f"{place} must be an object with role and content.", param=place)
    said_role = message.get("role")
    role = ROLES.get(said_role) if isinstance(said_role, str) else None
    if role is None:
        raise InvalidMessages(
            f"{place}.role must be one of {', '.join(ROLES)}.", param=f"{place}.role"
        )
    texts = _texts(message, place)
    calls = _calls(message, place)
    name = message.get("name")
    text = "\n".join(texts + [called for _, called in calls])
    is_plain = message.keys() <= _PLAIN_FIELDS and isinstance(message.get("content"), str)
    return Message(
        role=role,
        text=text,
        digest=digest,
        name=name if isinstance(name, str) else "",
        calls=tuple(id for id, _ in calls if id),
        answers=_answers(message),
        is_plain=is_plain,
        is_protected=_has_cache_mark(message) or has_media(message),
        tokens=token_count.PER_MESSAGE
        + (token_count.PER_NAME if name else 0)
        + token_count.count(text),
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
    listed = []
    for call in calls:
        function = call.get("function") or call.get("custom")
        id = call.get("id")
        listed.append((id if isinstance(id, str) else "", _called(function)))
    if message.get("function_call"):
        listed.append(
            (f"function:{_name_in(message['function_call'])}", _called(message["function_call"]))
        )
    return listed


def _called(function: Any) -> str:
    if not isinstance(function, dict):
        return ""
    words = (function.get("name"), function.get("arguments") or function.get("input"))
    return " ".join(word for word in words if isinstance(word, str))


def _name_in(function: Any) -> str:
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def _answers(message: dict[str, Any]) -> tuple[str, ...]:
    id = message.get("tool_call_id")
    if isinstance(id, str):
        return (id,)
    return (f"function:{_name_in(message)}",) if message["role"] == "function" else ()


def _has_cache_mark(message: dict[str, Any]) -> bool:
    """Whether a client marked the message, or a part of it, for a provider's prompt cache."""
    parts = message["content"] if isinstance(message.get("content"), list) else []
    return any(not _CACHE_MARKS.isdisjoint(fields) for fields in (message, *parts))


def has_media(message: dict[str, Any]) -> bool:
    """Whether a part of the message is no text."""
    content = message.get("content")
    return isinstance(content, list) and any(part["type"] not in _TEXT_PARTS for part in content)
