"""The filter as the benchmark wants it, and the table that compares it with others."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from proxy.relevance import filter as relevance  # noqa: E402
from proxy.relevance.messages import Message  # noqa: E402

ROLES = {"developer": "system", "function": "tool"}


def read(messages: list[dict[str, Any]]) -> list[Message]:
    """Return what the filter may know of messages in the chat format."""
    return [_read(message) for message in messages]


def _read(message: dict[str, Any]) -> Message:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    calls = message.get("tool_calls") or []
    texts = [part["text"] for part in parts if part.get("type") == "text"]
    texts += [f"{c['function']['name']} {c['function']['arguments']}" for c in calls]
    role = message["role"]
    return Message(
        role=ROLES.get(role, role),
        text="\n".join(texts),
        digest=hashlib.blake2b(
            json.dumps(message, sort_keys=True).encode(), digest_size=16
        ).digest(),
        name=message.get("name", ""),
        calls=tuple(call["id"] for call in calls),
        answers=(message["tool_call_id"],) if "tool_call_id" in message else (),
        is_plain=set(message) <= {"role", "content"} and isinstance(content, str),
    )


class Filter:
    """The product's filter with the benchmark's two questions."""

    def select(self, messages: list[dict[str, Any]], query: str, mode: str) -> list[int]:
        """Return the places of the messages that stay."""
        asked = read([*messages, {"role": "user", "content": query}])
        return [i for i in relevance.kept(relevance.decide(asked, mode)) if i < len(messages)]

    def score(self, messages: list[dict[str, Any]], query: str) -> list[float]:
        """Return a number for each message, the larger the more it matters."""
        return relevance.ranked(read([*messages, {"role": "user", "content": query}]))[:-1]
