"""LibreChat's export: a conversation whose messages name their parents, or hold their children."""

from __future__ import annotations

from typing import Any

from chats.imports.conversation import (
    Conversation,
    ImportedMessage,
    Unreadable,
    as_dict,
    as_list,
    key,
    text,
    time,
)

NAME = "LibreChat"
# The parent of the first message, as LibreChat writes it.
NO_PARENT = "00000000-0000-0000-0000-000000000000"


def recognises(data: dict[str, Any]) -> bool:
    messages = as_list(data.get("messages"))
    return "conversationId" in data and (
        not messages or any("messageId" in as_dict(message) for message in messages)
    )


def read(data: dict[str, Any]) -> Conversation:
    messages: list[ImportedMessage] = []
    pending: list[tuple[dict[str, Any], str | None]]
    pending = [(as_dict(raw), None) for raw in reversed(as_list(data.get("messages")))]
    while pending:
        raw, holder = pending.pop()
        message = _message(raw, holder, index=len(messages))
        messages.append(message)
        children = reversed(as_list(raw.get("children")))
        pending.extend((as_dict(child), message.key) for child in children)
    if not any(message.role for message in messages):
        raise Unreadable("It has no messages that could be imported.")
    times = [message.created for message in messages if message.created]
    own_id = key(data.get("conversationId"))
    return Conversation(
        origin=f"librechat:{own_id}" if own_id else "",
        title=text(data.get("title")),
        messages=messages,
        created=time(data.get("createdAt")) or min(times, default=None),
        updated=time(data.get("updatedAt")) or max(times, default=None),
        archived=data.get("isArchived") is True,
    )


def _message(raw: dict[str, Any], holder: str | None, *, index: int) -> ImportedMessage:
    content = text(raw.get("text")) or _parts(raw.get("content"))
    parent = key(raw.get("parentMessageId"))
    is_user = raw.get("isCreatedByUser") is True or text(raw.get("sender")).lower() == "user"
    return ImportedMessage(
        key=key(raw.get("messageId")) or f"place {index}",
        parent=holder or (None if parent == NO_PARENT else parent),
        role=("user" if is_user else "assistant") if content.strip() else "",
        content=content,
        created=time(raw.get("createdAt")),
        model=text(raw.get("model"))[:200],
    )


def _parts(content: Any) -> str:
    """Return the text of a message in parts, whose text may be an object again."""
    texts = []
    for part in map(as_dict, as_list(content)):
        value = part.get("text")
        texts.append(text(value) or text(as_dict(value).get("value")))
    return "\n\n".join(filter(None, texts))
