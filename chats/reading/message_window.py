"""A part of a chat as it is read: some messages of the shown branch, and what else stood there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from chats.models import Branch, Chat, Message
from chats.models.message import Alternatives


@dataclass(frozen=True, slots=True)
class MessageWindow:
    """Messages of the shown branch, in order, each with its `siblings`."""

    messages: list[Message]
    message_count: int
    """On the whole branch."""

    has_before: bool
    has_after: bool


def window(
    chat: Chat, *, before: int | None = None, after: int | None = None, limit: int
) -> MessageWindow:
    """Return up to `limit` messages before or after a position; else the last ones.

    The number of queries, and what they read, depends on `limit` and not on the chat's length.
    """
    count = chat.branch.last_position() + 1 if chat.branch else 0
    if after is not None:
        first = min(after + 1, count)
        end = min(first + limit, count)
    else:
        end = count if before is None else min(before, count)
        first = max(0, end - limit)
    messages = list(
        chat.messages_on(first=first, end=end).select_related(
            "generation", "persona_version__persona"
        )
    )
    add_alternatives(chat, messages)
    return MessageWindow(messages, count, has_before=first > 0, has_after=end < count)


def add_alternatives(chat: Chat, messages: list[Message]) -> None:
    """Give each message `siblings`: what stands in its place on the chat's branches, and itself."""
    branches = Branch.of_chat(chat.pk).values()
    # Only where a branch begins can several messages stand after the same one.
    begins = {branch.position for branch in branches} if len(branches) > 1 else set()
    places = {message.parent_id for message in messages if message.position in begins}
    after: defaultdict[Any, list[Any]] = defaultdict(list)
    if places:
        for parent, pk in Message.objects.after(chat, places).values_list("parent_id", "pk"):
            after[parent].append(pk)
    for message in messages:
        ids = after.get(message.parent_id) or [message.pk]
        message.siblings = Alternatives(ids.index(message.pk) + 1, len(ids), ids)
