"""A person's chats and messages, one after the other: no cursor stays open, little is in memory."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q

from chats.models import Chat, Message
from chats.models.chat import ChatQuerySet
from chats.models.message import MessageQuerySet

CHATS_AT_ONCE = 100
MESSAGES_AT_ONCE = 200


def iterate_chats(chats: ChatQuerySet) -> Iterator[Chat]:
    """Yield the chats, oldest first; one that comes meanwhile comes too."""
    chats = chats.select_related("persona_version__persona").order_by("pk")
    batch = list(chats[:CHATS_AT_ONCE])
    while batch:
        yield from batch
        batch = list(chats.filter(pk__gt=batch[-1].pk)[:CHATS_AT_ONCE])


def iterate_messages(messages: MessageQuerySet) -> Iterator[Message]:
    """Yield a chat's messages by position, so that each comes after what it answers."""
    messages = messages.select_related("persona_version__persona").order_by("position", "pk")
    batch = list(messages[:MESSAGES_AT_ONCE])
    while batch:
        yield from batch
        last = batch[-1]
        rest = Q(position__gt=last.position) | Q(position=last.position, pk__gt=last.pk)
        rest &= Q(position__gte=last.position)
        batch = list(messages.filter(rest)[:MESSAGES_AT_ONCE])
