"""ChatGPT's export: conversations whose `mapping` is a tree of nodes, some without a message."""

from __future__ import annotations

from collections import Counter
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

NAME = "ChatGPT"


def recognises(data: dict[str, Any]) -> bool:
    return isinstance(data.get("mapping"), dict)


def read(data: dict[str, Any]) -> Conversation:
    left_out: Counter[str] = Counter()
    messages = []
    for node_key, raw in data["mapping"].items():
        node = as_dict(raw)
        parent = key(node.get("parent"))
        role, content = _message(as_dict(node.get("message")), left_out)
        message = as_dict(node.get("message"))
        messages.append(
            ImportedMessage(
                key=node_key,
                parent=parent,
                role=role,
                content=content,
                created=time(message.get("create_time")),
                model=text(as_dict(message.get("metadata")).get("model_slug"))[:200],
            )
        )
    if not any(message.role for message in messages):
        raise Unreadable("It has no messages that could be imported.")
    own_id = key(data.get("conversation_id")) or key(data.get("id"))
    return Conversation(
        origin=f"chatgpt:{own_id}" if own_id else "",
        title=text(data.get("title")),
        messages=messages,
        shown_key=key(data.get("current_node")),
        created=time(data.get("create_time")),
        updated=time(data.get("update_time")),
        pinned=data.get("is_starred") is True or data.get("pinned_time") is not None,
        archived=data.get("is_archived") is True,
        notes=[f"{count} {what}" for what, count in left_out.items()],
    )


def _message(message: dict[str, Any], left_out: Counter[str]) -> tuple[str, str]:
    """Return a node's role and text; no role if it is no message for people."""
    role = as_dict(message.get("author")).get("role")
    metadata = as_dict(message.get("metadata"))
    if not message or metadata.get("is_visually_hidden_from_conversation"):
        return "", ""
    if role not in ("user", "assistant", "system"):
        left_out["messages of tools"] += 1
        return "", ""
    if message.get("recipient") not in (None, "all"):
        left_out["calls of tools"] += 1
        return "", ""
    content = as_dict(message.get("content"))
    parts = [part for part in as_list(content.get("parts")) if part]
    texts = [text(part) or text(as_dict(part).get("text")) for part in parts]
    if others := sum(not part for part in texts):
        left_out["images, audio or files"] += others
    joined = "\n\n".join(part for part in texts if part) or text(content.get("text"))
    if (role == "system" and not joined) or not joined.strip():
        return "", ""
    return role, joined
