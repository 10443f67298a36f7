"""Our own exports: all of a chat; and conversations as OpenAI's API takes them, a line each."""

from __future__ import annotations

import json
from typing import Any

from chats.imports.conversation import (
    Conversation,
    ImportedMessage,
    Unreadable,
    as_dict,
    key,
    text,
    time,
)
from chats.models import Message
from personas.models import SCOPES

NAME = "Alchemyst"
LONGEST_METADATA = 20_000
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


def recognises(data: dict[str, Any]) -> bool:
    return isinstance(data.get("messages"), list) and "conversationId" not in data


def read(data: dict[str, Any]) -> Conversation:
    messages: list[ImportedMessage] = []
    keys: set[str] = set()
    for index, raw in enumerate(map(as_dict, data["messages"])):
        message = _message(raw, index, before=messages[-1].key if messages else None)
        if message.key in keys:
            raise Unreadable("Two of its messages have the same id.")
        keys.add(message.key)
        messages.append(message)
    own_id = key(data.get("id"))
    scope = text(data.get("scope"))
    return Conversation(
        origin=text(data.get("origin"))[:200] or (f"alchemyst:{own_id}" if own_id else ""),
        own_id=own_id or "",
        title=text(data.get("title")),
        messages=messages,
        shown_key=key(data.get("shownMessageId")),
        created=time(data.get("createdAt")),
        updated=time(data.get("updatedAt")),
        pinned=data.get("pinned") is True,
        archived=data.get("archived") is True,
        persona=text(data.get("persona")),
        fields={
            "username": text(data.get("username"))[:150],
            "source": text(data.get("source"))[:100],
            "scope": scope if scope in SCOPES else "internal",
            "relevance": text(data.get("relevance"))[:20],
        },
    )


def _message(raw: dict[str, Any], index: int, *, before: str | None) -> ImportedMessage:
    content = raw.get("content")
    if isinstance(content, list):
        content = "\n\n".join(filter(None, (text(as_dict(part).get("text")) for part in content)))
    fate = text(raw.get("fate"))
    own_key = key(raw.get("id"))
    return ImportedMessage(
        key=own_key or f"place {index}",
        # Without a parent named, a message follows the one before it.
        parent=key(raw["parentId"]) if "parentId" in raw else before,
        role=_ROLES.get(text(raw.get("role")), ""),
        content=text(content),
        created=time(raw.get("createdAt")),
        persona=text(raw.get("persona")),
        model=text(raw.get("model"))[:200],
        fate=fate if fate in Message.Fate.values else "",
        metadata=_metadata(raw.get("metadata")),
    )


def _metadata(value: Any) -> dict[str, Any]:
    """Return what was kept with a message, if it is of a size that we would have kept."""
    encoded = json.dumps(as_dict(value))
    is_sound = len(encoded) <= LONGEST_METADATA and "\\u0000" not in encoded
    return as_dict(value) if is_sound else {}
