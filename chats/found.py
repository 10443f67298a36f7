"""Why a search found a chat: what to show of its title and of one of its messages."""

from __future__ import annotations

from dataclasses import dataclass

from chats.models import Chat, Message
from chats.search import Part, Query, marked, snippet


@dataclass(frozen=True, slots=True)
class Match:
    title: list[Part]
    message: Message | None
    """The newest one that answers to the query, with its `snippet`."""


def add_matches(chats: list[Chat], query: Query) -> None:
    """Give each chat that a search found its `match`, with one query for all of them."""
    messages = {
        message.chat_id: message
        for message in Message.objects.newest_about([chat.pk for chat in chats], query)
    }
    for chat in chats:
        message = messages.get(chat.pk)
        if message:
            message.snippet = snippet(message.beginning, query)  # type: ignore[attr-defined]
        chat.match = Match(marked(chat.title, query), message)  # type: ignore[attr-defined]
