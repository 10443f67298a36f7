"""Open WebUI's export: a list of chats, each with a history of messages by id, wrapped or not."""

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

NAME = "Open WebUI"


def recognises(data: dict[str, Any]) -> bool:
    chat = as_dict(data.get("chat")) or data
    return isinstance(as_dict(chat.get("history")).get("messages"), dict) or (
        isinstance(data.get("chat"), dict) and isinstance(chat.get("messages"), list)
    )


def read(data: dict[str, Any]) -> Conversation:
    chat = as_dict(data.get("chat")) or data
    history = as_dict(chat.get("history"))
    raw = as_dict(history.get("messages"))
    if raw:
        messages = [_message(name, as_dict(message)) for name, message in raw.items()]
    else:
        # Old exports have only the list that was shown.
        messages = _in_a_row([as_dict(message) for message in as_list(chat.get("messages"))])
    if not any(message.role for message in messages):
        raise Unreadable("It has no messages that could be imported.")
    own_id = key(data.get("id")) or key(chat.get("id"))
    return Conversation(
        origin=f"openwebui:{own_id}" if own_id else "",
        title=text(data.get("title")) or text(chat.get("title")),
        messages=messages,
        shown_key=key(history.get("currentId")),
        created=time(data.get("created_at")) or time(chat.get("timestamp")),
        updated=time(data.get("updated_at")),
        pinned=data.get("pinned") is True,
        archived=data.get("archived") is True,
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
    imported = []
    for index, message in enumerate(messages):
        imported.append(_message(str(index), message))
        imported[-1].parent = str(index - 1) if index else None
    return imported


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n\n".join(filter(None, (text(as_dict(part).get("text")) for part in content)))
    return text(content)
