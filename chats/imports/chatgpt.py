"""ChatGPT's export: conversations whose `mapping` is a tree of nodes, some without a message."""

from __future__ import annotations

from collections import Counter
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

NAME = "ChatGPT"


def recognises(found: dict[str, Any]) -> bool:
    return isinstance(found.get("mapping"), dict)


def read(found: dict[str, Any]) -> Conversation:
    left_out: Counter[str] = Counter()
    messages = []
    for node_key, raw in found["mapping"].items():
        node = known(raw)
        parent = key(node.get("parent"))
        role, content = _message(known(node.get("message")), left_out)
        message = known(node.get("message"))
        messages.append(
            ImportedMessage(
                key=node_key,
                parent=parent,
                role=role,
                content=content,
                created=time(message.get("create_time")),
                model=text(known(message.get("metadata")).get("model_slug"))[:200],
            )
        )
    if not any(message.role for message in messages):
        raise Unreadable("It has no messages that could be imported.")
    own_id = key(found.get("conversation_id")) or key(found.get("id"))
    return Conversation(
        origin=f"chatgpt:{own_id}" if own_id else "",
        title=text(found.get("title")),
        messages=messages,
        shown=key(found.get("current_node")),
        created=time(found.get("create_time")),
        updated=time(found.get("update_time")),
        pinned=found.get("is_starred") is True or found.get("pinned_time") is not None,
        archived=found.get("is_archived") is True,
        notes=[f"{count} {what}" for what, count in left_out.items()],
    )


def _message(message: dict[str, Any], left_out: Counter[str]) -> tuple[str, str]:
    """Return a node's role and text; no role if it is no message for people."""
    role = known(message.get("author")).get("role")
    metadata = known(message.get("metadata"))
    if not message or metadata.get("is_visually_hidden_from_conversation"):
        return "", ""
    if role not in ("user", "assistant", "system"):
        left_out["messages of tools"] += 1
        return "", ""
    if message.get("recipient") not in (None, "all"):
        left_out["calls of tools"] += 1
        return "", ""
    content = known(message.get("content"))
    parts = [part for part in listed(content.get("parts")) if part]
    written = [text(part) or text(known(part).get("text")) for part in parts]
    if others := sum(not part for part in written):
        left_out["images, audio or files"] += others
    said = "\n\n".join(part for part in written if part) or text(content.get("text"))
    if (role == "system" and not said) or not said.strip():
        return "", ""
    return role, said
