"""LibreChat's export: a conversation whose messages name their parents, or hold their children."""

from __future__ import annotations

from typing import Any

from chats.imports.conversation import (
    Conversation,
    ImportedMessage,
    Unreadable,
    key,
    known,
    listed,
    text,
    time,
)

NAME = "LibreChat"
# The parent of the first message, as LibreChat writes it.
NO_PARENT = "00000000-0000-0000-0000-000000000000"


def recognises(found: dict[str, Any]) -> bool:
    messages = listed(found.get("messages"))
    return "conversationId" in found and (
        not messages or any("messageId" in known(message) for message in messages)
    )


def read(found: dict[str, Any]) -> Conversation:
    messages: list[ImportedMessage] = []
    waiting: list[tuple[dict[str, Any], str | None]]
    waiting = [(known(raw), None) for raw in reversed(listed(found.get("messages")))]
    while waiting:
        raw, holder = waiting.pop()
        said = _message(raw, holder, place=len(messages))
        messages.append(said)
        children = reversed(listed(raw.get("children")))
        waiting.extend((known(child), said.key) for child in children)
    if not any(message.role for message in messages):
        raise Unreadable("It has no messages that could be imported.")
    times = [message.created for message in messages if message.created]
    own_id = key(found.get("conversationId"))
    return Conversation(
        origin=f"librechat:{own_id}" if own_id else "",
        title=text(found.get("title")),
        messages=messages,
        created=time(found.get("createdAt")) or min(times, default=None),
        updated=time(found.get("updatedAt")) or max(times, default=None),
        archived=found.get("isArchived") is True,
    )


def _message(raw: dict[str, Any], holder: str | None, *, place: int) -> ImportedMessage:
    content = text(raw.get("text")) or _parts(raw.get("content"))
    parent = key(raw.get("parentMessageId"))
    is_user = raw.get("isCreatedByUser") is True or text(raw.get("sender")).lower() == "user"
    return ImportedMessage(
        key=key(raw.get("messageId")) or f"place {place}",
        parent=holder or (None if parent == NO_PARENT else parent),
        role=("user" if is_user else "assistant") if content.strip() else "",
        content=content,
        created=time(raw.get("createdAt")),
        model=text(raw.get("model"))[:200],
    )


def _parts(content: Any) -> str:
    """Return the text of a message in parts, whose text may be an object again."""
    texts = []
    for part in map(known, listed(content)):
        said = part.get("text")
        texts.append(text(said) or text(known(said).get("value")))
    return "\n\n".join(filter(None, texts))
