"""Why a search found a chat: what to show of its title and of one of its messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Left

from chats.models import Chat, Message
from chats.search.query import INDEXED_CHARACTERS, Part, Query, highlighted, snippet


@dataclass(frozen=True, slots=True)
class SearchMatch:
    title: list[Part]
    message: Message | None
    """The newest one that answers to the query, with its `snippet`."""


def attach_matches(chats: list[Chat], query: Query) -> None:
    """Give each chat that a search found its `match`, with one query for all of them."""
    messages = {
        message.chat_id: message for message in newest_matches([chat.pk for chat in chats], query)
    }
    for chat in chats:
        message = messages.get(chat.pk)
        if message:
            message.snippet = snippet(message.beginning, query)  # type: ignore[attr-defined]
        chat.match = SearchMatch(highlighted(chat.title, query), message)  # type: ignore[attr-defined]


def newest_matches(chats: Iterable[UUID], query: Query) -> QuerySet[Message]:
    """Of each of some chats the newest message that answers to a search, as `beginning`."""
    answering = Message.objects.filter(chat=OuterRef("pk"), content__words=query)
    newest = Subquery(answering.order_by("-created", "-pk").values("pk")[:1])
    matching = Chat.objects.filter(pk__in=chats).annotate(newest=newest)
    return (
        Message.objects.filter(pk__in=matching.values("newest"))
        .defer("content")
        .annotate(beginning=Left("content", INDEXED_CHARACTERS))
    )
