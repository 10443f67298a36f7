"""Our own exports: all of a chat; and conversations as OpenAI's API takes them, a line each."""

from __future__ import annotations

import json
from typing import Any

from chats.imports.conversation import (
    Conversation,
    ImportedMessage,
    Unreadable,
    key,
    known,
    text,
    time,
)
from chats.models import Message
from personas.models import SCOPES

NAME = "Alchemyst"
LONGEST_METADATA = 20_000
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


def recognises(found: dict[str, Any]) -> bool:
    return isinstance(found.get("messages"), list) and "conversationId" not in found


def read(found: dict[str, Any]) -> Conversation:
    messages: list[ImportedMessage] = []
    keys: set[str] = set()
    for place, raw in enumerate(map(known, found["messages"])):
        said = _message(raw, place, before=messages[-1].key if messages else None)
        if said.key in keys:
            raise Unreadable("Two of its messages have the same id.")
        keys.add(said.key)
        messages.append(said)
    own_id = key(found.get("id"))
    scope = text(found.get("scope"))
    return Conversation(
        origin=text(found.get("origin"))[:200] or (f"alchemyst:{own_id}" if own_id else ""),
        own_id=own_id or "",
        title=text(found.get("title")),
        messages=messages,
        shown=key(found.get("shownMessageId")),
        created=time(found.get("createdAt")),
        updated=time(found.get("updatedAt")),
        pinned=found.get("pinned") is True,
        archived=found.get("archived") is True,
        persona=text(found.get("persona")),
        fields={
            "username": text(found.get("username"))[:150],
            "source": text(found.get("source"))[:100],
            "scope": scope if scope in SCOPES else "internal",
            "relevance": text(found.get("relevance"))[:20],
        },
    )


def _message(raw: dict[str, Any], place: int, *, before: str | None) -> ImportedMessage:
    content = raw.get("content")
    if isinstance(content, list):
        content = "\n\n".join(filter(None, (text(known(part).get("text")) for part in content)))
    fate = text(raw.get("fate"))
    own_key = key(raw.get("id"))
    return ImportedMessage(
        key=own_key or f"place {place}",
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
    written = json.dumps(known(value))
    sound = len(written) <= LONGEST_METADATA and "\\u0000" not in written
    return known(value) if sound else {}
