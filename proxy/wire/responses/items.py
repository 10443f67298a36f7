"""One item of a response's input: what the filter may know of it, whatever its type.

OpenAI adds types monthly. What is not known stays, with all that was said around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import msgspec

from proxy.common.lru import LRUCache, digest_of
from proxy.errors import InvalidMessages
from proxy.relevance.merge_turns import BETWEEN
from proxy.relevance.messages import Message
from proxy.wire import token_count
from proxy.wire.validation import decoded

MESSAGE: Final = "message"
REASONING: Final = "reasoning"
REFERENCE: Final = "item_reference"
COMPACTIONS: Final = (
    "compaction",
    "compaction_summary",
    "compaction_trigger",
    "context_compaction",
)
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

# What a model did: with a result in another item, by call_id, or with its own.
_CALLS = {
    "function_call",
    "custom_tool_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "computer_call",
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "mcp_call",
    "mcp_approval_request",
    "program",
}
_RESULTS = {
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "shell_call_output",
    "apply_patch_call_output",
    "computer_call_output",
    "mcp_approval_response",
    "program_output",
}
# They define what later items may use.
_DEFINITIONS = {"mcp_list_tools", "additional_tools", "configuration_update"}
_READ_FIELDS = (
    "name",
    "arguments",
    "input",
    "action",
    "actions",
    "operation",
    "queries",
    "code",
    "result",
    "output",
    "outputs",
)
_PLAIN_FIELDS = {"type", "role", "content", "id", "status", "phase"}
_PLAIN_PART_FIELDS = {"type", "text", "refusal", "annotations", "logprobs"}
_TEXT_PARTS = ("input_text", "output_text", "text", "refusal")
_MEDIA = ("input_image", "input_file", "input_audio", "computer_screenshot", "image", "file")
_MARK: Final = "prompt_cache_breakpoint"
# In a text its quotes are escaped.
_RAW_MARK: Final = b'"prompt_cache_breakpoint"'
# What agents tell a model under a user's name: not what anybody asks.
_CONTEXT = re.compile(
    r"\s*<(\w+[_-](?:context|instructions|reminder))>.*</\1>\s*", re.DOTALL | re.IGNORECASE
)

Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Item:
    """One item, read by itself."""

    kind: str
    message: Message
    protected: Message
    """The same, where its place holds it."""

    is_marked: bool = False
    """Whether its client set a mark for the prompt cache in it."""


# Items of earlier requests, by digest: of a history of a hundred, a new turn brings two.
_seen: LRUCache[Item] = LRUCache(size=16 * 1024 * 1024)


def item_of(raw: bytes, place: int) -> Item:
    """Return what `raw` says; raises InvalidMessages, naming its place, where it is no item."""
    digest = digest_of(raw)
    return _seen.get_or_make(
        digest, lambda: _read(raw, digest, f"input[{place}]"), cost=len(raw) + 900
    )


def _read(raw: bytes, digest: bytes, place: str) -> Item:
    fields = decoded(msgspec.json.decode, raw, messages="input")
    if not isinstance(fields, dict):
        raise InvalidMessages(f"'{place}' must be an object.", param=place)
    for name in ("type", "role"):
        if not isinstance(fields.get(name), str | None):
            raise InvalidMessages(f"'{place}.{name}' must be a string.", param=f"{place}.{name}")
    kind = fields.get("type") or (MESSAGE if "role" in fields else REFERENCE)
    role = ROLES.get(fields.get("role") or "")
    if kind == MESSAGE and role:
        parts = _parts(fields, place)
        is_marked = any(part.get(_MARK) is not None for part in parts)
        message = _message(fields, parts, role, digest)
    else:
        message, is_marked = _other(kind, fields, raw, digest), _RAW_MARK in raw
    return Item(kind, message, replace(message, is_protected=True), is_marked)


def _message(fields: Fields, parts: list[Fields], role: str, digest: bytes) -> Message:
    text = BETWEEN.join(filter(None, map(_text_of_part, parts)))
    is_plain = fields.keys() <= _PLAIN_FIELDS and all(map(_is_plain, parts))
    if role == "user" and is_plain and _CONTEXT.fullmatch(text):
        role = "system"
    return Message(
        role=role,
        text=text,
        # Ids and annotations are new each time that the same is said.
        digest=digest_of(f"{role}\0{text}".encode()) if is_plain else digest,
        is_plain=is_plain,
        may_be_joined=False,
        is_protected=any(part.get("type") not in _TEXT_PARTS for part in parts),
        tokens=token_count.PER_MESSAGE + token_count.count(text),
    )


def _parts(fields: Fields, place: str) -> list[Fields]:
    content = fields.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if content is None and fields["role"] == "assistant":
        return []
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise InvalidMessages(
            f"'{place}.content' must be a string or an array of parts.", param=f"{place}.content"
        )
    return content


def _text_of_part(part: Fields) -> str:
    text = part.get("text") or part.get("refusal")
    return text if isinstance(text, str) else ""


def _is_plain(part: Fields) -> bool:
    return part.get("type") in _TEXT_PARTS and part.keys() <= _PLAIN_PART_FIELDS


def _other(kind: str, fields: Fields, raw: bytes, digest: bytes) -> Message:
    """Return what is known of an item that is no message: its ties, and whether it must stay."""
    is_known = kind in _CALLS or kind in _RESULTS
    text = BETWEEN.join(_texts(fields)) if is_known else ""
    counted = text
    if kind in _DEFINITIONS:
        counted = raw.decode("utf-8", "replace")
    elif kind == REASONING:
        counted = _text_in(fields.get("summary")) + _text_in(fields.get("content"))
    return Message(
        role=_role_of(kind),
        text=text,
        digest=digest,
        calls=() if _is_result(kind) else _ids(fields, "call_id", kind == "mcp_approval_request"),
        answers=_answered(kind, fields),
        is_plain=False,
        may_be_joined=False,
        is_protected=not (is_known or kind == REASONING) or _has_media(fields.get("output")),
        tokens=token_count.PER_MESSAGE + token_count.count(counted),
    )


def _role_of(kind: str) -> str:
    if kind in _DEFINITIONS:
        return "system"
    return "tool" if _is_result(kind) else "assistant"


def _is_result(kind: str) -> bool:
    return kind in _RESULTS or kind.endswith("_output")


def _ids(fields: Fields, name: str, is_request: bool = False) -> tuple[str, ...]:
    id = fields.get("id" if is_request else name)
    return (id,) if isinstance(id, str) else ()


def _answered(kind: str, fields: Fields) -> tuple[str, ...]:
    """Return what an item belongs to: the call that it answers, or what allowed it."""
    allowed = _ids(fields, "approval_request_id")
    return allowed + (_ids(fields, "call_id") if _is_result(kind) else ())


def _texts(fields: Fields) -> list[str]:
    texts = (_text_in(fields.get(name)) for name in _READ_FIELDS)
    return [text for text in texts if text]


def _text_in(value: object) -> str:
    """Return the text of a field: as it stands, in parts, or as JSON; of media nothing."""
    if isinstance(value, str):
        return value
    if not value or _has_media(value):
        return ""
    if isinstance(value, list) and all(isinstance(part, dict) and "text" in part for part in value):
        return BETWEEN.join(map(_text_of_part, value))
    return msgspec.json.encode(value).decode()


def _has_media(value: object) -> bool:
    parts = value if isinstance(value, list) else [value]
    return any(isinstance(part, dict) and part.get("type") in _MEDIA for part in parts)


def keeps_rules(items: Sequence[Item], places: Sequence[int]) -> bool:
    """Whether the items at `places`, in that order, keep what OpenAI asks of those they come from.

    Calls go with their results, reasoning with what it led to, and nothing is sent twice.
    """
    kept = [items[place].message for place in places]
    calls, answers = _calls_and_answers(kept)
    all_calls, all_answers = _calls_and_answers([item.message for item in items])
    if calls & all_answers - answers or answers & all_calls - calls:
        return False
    following = dict(pairwise(places))
    stays = set(places)
    return len(stays) == len(places) and all(
        following.get(place) == place + 1 if place in stays else place + 1 not in stays
        for place, item in enumerate(items[:-1])
        if item.kind == REASONING and items[place + 1].message.role in ("assistant", "tool")
    )


def _calls_and_answers(messages: Iterable[Message]) -> tuple[set[str], set[str]]:
    calls: set[str] = set()
    answers: set[str] = set()
    for message in messages:
        calls.update(message.calls)
        answers.update(message.answers)
    return calls, answers
