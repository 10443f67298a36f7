"""Open WebUI's export: a list of chats, each with a history of messages by id, wrapped or not."""

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

NAME = "Open WebUI"


def recognises(found: dict[str, Any]) -> bool:
    chat = known(found.get("chat")) or found
    return isinstance(known(chat.get("history")).get("messages"), dict) or (
        isinstance(found.get("chat"), dict) and isinstance(chat.get("messages"), list)
    )


def read(found: dict[str, Any]) -> Conversation:
    chat = known(found.get("chat")) or found
    history = known(chat.get("history"))
    raw = known(history.get("messages"))
    if raw:
        messages = [_message(name, known(message)) for name, message in raw.items()]
    else:
        # Old exports have only the list that was shown.
        messages = _in_a_row([known(message) for message in listed(chat.get("messages"))])
    if not any(message.role for message in messages):
        raise Unreadable("It has no messages that could be imported.")
    own_id = key(found.get("id")) or key(chat.get("id"))
    return Conversation(
        origin=f"openwebui:{own_id}" if own_id else "",
        title=text(found.get("title")) or text(chat.get("title")),
        messages=messages,
        shown=key(history.get("currentId")),
        created=time(found.get("created_at")) or time(chat.get("timestamp")),
        updated=time(found.get("updated_at")),
        pinned=found.get("pinned") is True,
        archived=found.get("archived") is True,
    )


def _message(name: str, message: dict[str, Any]) -> ImportedMessage:
    role = text(message.get("role"))
    content = _text_of(message.get("content"))
    is_message = role in ("user", "assistant", "system") and bool(content.strip())
    return ImportedMessage(
        key=name,
        parent=key(message.get("parentId")),
        role=role if is_message else "",
        content=content,
        created=time(message.get("timestamp")),
        model=text(message.get("model"))[:200],
    )


def _in_a_row(messages: list[dict[str, Any]]) -> list[ImportedMessage]:
    said = []
    for place, message in enumerate(messages):
        said.append(_message(str(place), message))
        said[-1].parent = str(place - 1) if place else None
    return said


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n\n".join(filter(None, (text(known(part).get("text")) for part in content)))
    return text(content)
