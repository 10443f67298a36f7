"""Gemini's contents: what the filter may know of each, and the rules of their turns.

Both spellings of every field are read (functionCall, function_call), since Google's own JSON layer
and its packages mix them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from proxy.common.lru import LRUCache, digest_of
from proxy.errors import InvalidMessages
from proxy.relevance.merge_turns import BETWEEN
from proxy.relevance.messages import Message
from proxy.wire import token_count
from proxy.wire.validation import decoded

ROLES = ("user", "model", "function")

_PLAIN_FIELDS = {"role", "parts"}
_MARKS = {"thought", "thoughtSignature", "thought_signature"}
_READ = {
    "text",
    "functionCall",
    "function_call",
    "functionResponse",
    "function_response",
    "executableCode",
    "executable_code",
    "codeExecutionResult",
    "code_execution_result",
}

Part = dict[str, Any]


class Named(NamedTuple):
    """A function call, or the result of one, as far as the wire names it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Content:
    """One content, read by itself: which result belongs to which call, only its place tells."""

    message: Message
    calls: tuple[Named, ...] = ()
    answers: tuple[Named, ...] = ()


# Contents of earlier requests, by digest: of a history of a hundred, a new turn brings two.
_seen: LRUCache[Content] = LRUCache(size=16 * 1024 * 1024)


def content_of(raw: bytes, place: int) -> Content:
    """Return what `raw` says; raises InvalidMessages, naming its place, where it is no content."""
    digest = digest_of(raw)
    return _seen.get_or_make(
        digest, lambda: _read(raw, digest, f"contents[{place}]"), cost=len(raw) + 600
    )


def _read(raw: bytes, digest: bytes, place: str) -> Content:
    content = decoded(msgspec.json.decode, raw, messages="contents")
    if not isinstance(content, dict):
        raise InvalidMessages(f"'{place}' must be an object with role and parts.", param=place)
    said_role = content.get("role")
    if said_role in (None, ""):
        said_role = "user"
    if said_role not in ROLES:
        raise InvalidMessages(
            f"'{place}.role' must be one of {', '.join(ROLES)}.", param=f"{place}.role"
        )
    parts = _parts_of(content, place)
    calls = [call for part in parts if (call := _one_of(part, "functionCall", "function_call"))]
    answers = [
        answer
        for part in parts
        if (answer := _one_of(part, "functionResponse", "function_response"))
    ]
    text = BETWEEN.join(filter(None, map(_text_of, parts)))
    is_result = said_role == "function" or _is_result_alone(parts, answers)
    role = "assistant" if said_role == "model" else "tool" if is_result else "user"
    message = Message(
        role=role,
        text=text,
        digest=digest,
        is_plain=_is_plain(content),
        is_protected=any(map(_is_opaque, parts)),
        tokens=token_count.PER_MESSAGE + token_count.count(text),
    )
    return Content(message, tuple(map(_named, calls)), tuple(map(_named, answers)))


def _parts_of(content: dict[str, Any], place: str) -> list[Part]:
    """Return the parts; a single one may stand without its array, and Google takes none too."""
    parts = content.get("parts")
    parts = [parts] if isinstance(parts, dict) else [] if parts is None else parts
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise InvalidMessages(
            f"'{place}.parts' must be an array of objects.", param=f"{place}.parts"
        )
    return parts


def _one_of(part: Part, *spellings: str) -> Part | None:
    """Return the object that stands in `part` under one of the spellings of its name."""
    value = next((part[name] for name in spellings if part.get(name) is not None), None)
    return value if isinstance(value, dict) else None


def _named(part: Part) -> Named:
    id, name = part.get("id"), part.get("name")
    return Named(id if isinstance(id, str) else "", name if isinstance(name, str) else "")


def _is_result_alone(parts: Sequence[Part], answers: Sequence[Part]) -> bool:
    """Whether a user's turn carries nothing of the user's own: neither text nor media."""
    return bool(answers) and not any("text" in part or _is_opaque(part) for part in parts)


def _text_of(part: Part) -> str:
    """Return the text of a part: of calls and results their names and values, of media nothing."""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    if call := _one_of(part, "functionCall", "function_call"):
        return _text_with_name(call, call.get("args"))
    if answer := _one_of(part, "functionResponse", "function_response"):
        return _text_with_name(answer, answer.get("response"))
    if code := _one_of(part, "executableCode", "executable_code"):
        return str(code.get("code") or "")
    if result := _one_of(part, "codeExecutionResult", "code_execution_result"):
        return str(result.get("output") or "")
    return ""


def _text_with_name(part: Part, value: Any) -> str:
    text = msgspec.json.encode(value).decode() if value else ""
    return f"{_named(part).name} {text}".strip()


def _is_opaque(part: Part) -> bool:
    """Whether a part holds what can't be read as text: an image, a file, a kind that is new."""
    if answer := _one_of(part, "functionResponse", "function_response"):
        return bool(answer.get("parts"))
    return not part.keys() & _READ and bool(part.keys() - _MARKS)


def _is_plain(content: dict[str, Any]) -> bool:
    """Whether there is a role and text and nothing else: no signature, no thought, no call."""
    parts = content.get("parts")
    return (
        content.keys() <= _PLAIN_FIELDS
        and isinstance(parts, list)
        and bool(parts)
        and all(part.keys() == {"text"} and isinstance(part["text"], str) for part in parts)
    )


def tied(contents: Iterable[Content]) -> list[Message]:
    """Return the messages, each call and its results under one id of its own.

    Most calls have no id on the wire: a result belongs to the next unanswered call of its name in
    the latest turn that called it, and if the name is unknown to the latest call.
    """
    contents = list(contents)
    if not any(content.calls or content.answers for content in contents):
        return [content.message for content in contents]
    by_id: dict[str, str] = {}
    by_name: dict[str, deque[str]] = {}
    latest: str | None = None
    messages = []
    for place, content in enumerate(contents):
        message = content.message
        if content.answers:
            origins = (_tie(each, by_id, by_name) or latest for each in content.answers)
            message = replace(message, answers=tuple(tie for tie in origins if tie))
        if content.calls:
            ties = tuple(f"{place}.{number}" for number in range(len(content.calls)))
            message = replace(message, calls=ties)
            by_name.update({call.name: deque() for call in content.calls})
            for tie, call in zip(ties, content.calls, strict=True):
                by_name[call.name].append(tie)
                if call.id:
                    by_id[call.id] = tie
            latest = ties[-1]
        messages.append(message)
    return messages


def _tie(answer: Named, by_id: dict[str, str], by_name: dict[str, deque[str]]) -> str | None:
    if answer.id in by_id:
        return by_id[answer.id]
    calls = by_name.get(answer.name)
    if not calls:
        return None
    # A call may have several results, so its last entry stays.
    return calls.popleft() if len(calls) > 1 else calls[0]


def broken_rules(messages: Sequence[Message]) -> set[str]:
    """Return which of Gemini's rules of turns a conversation breaks, by name."""
    broken = set()
    if messages and messages[0].role != "user":
        broken.add("begins with the user")
    previous: Message | None = None
    for message in messages:
        is_result = message.role == "tool" or bool(message.answers)
        follows_call = previous is not None and bool(previous.calls)
        follows_result = previous is not None and previous.role == "tool"
        if message.calls and (previous is None or previous.role == "assistant"):
            broken.add("calls follow the user or a result")
        if is_result and not (follows_call or follows_result):
            broken.add("results follow their calls")
        if follows_call and not is_result:
            broken.add("calls are answered at once")
        previous = message
    calls = {call for message in messages for call in message.calls}
    answered = {call for message in messages for call in message.answers}
    if calls != answered:
        broken.add("calls and results are complete")
    return broken
