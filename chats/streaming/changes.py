"""Reads what is new in a chat, for its open sockets."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chats.answers import run
from chats.models import Chat, Generation, Message
from proxy.common.runtime.threads import on_database_thread


@dataclass(frozen=True, slots=True)
class ChatChanges:
    """What is new in a chat."""

    messages: list[Message]
    generation: UUID | None
    """The newest answer that is, or was just, written."""
    is_running: bool


@on_database_thread
def has_chat(user_id: int, chat_id: UUID) -> bool:
    return Chat.objects.of(user_id).filter(pk=chat_id).exists()


@on_database_thread
def newest_message(chat_id: UUID) -> UUID | None:
    """Return the id of the chat's newest message; ids can be sorted by their time."""
    return Message.objects.filter(chat=chat_id).order_by("-pk").values_list("pk", flat=True).first()


@on_database_thread
def changes_since(
    user_id: int, chat_id: UUID, last_message: UUID | None, last_generation: UUID | None
) -> ChatChanges | None:
    """Return what came after `last_message`; None if the chat is gone."""
    if not Chat.objects.of(user_id).filter(pk=chat_id).exists():
        return None
    messages = Message.objects.filter(chat=chat_id).order_by("pk")
    newest = Generation.objects.filter(chat=chat_id).order_by("-pk").first()
    return ChatChanges(
        messages=list(messages.filter(pk__gt=last_message) if last_message else messages),
        generation=newest.pk if newest else last_generation,
        is_running=bool(newest and newest.is_running),
    )


@on_database_thread
def generation_of(user_id: int, generation_id: UUID) -> Generation | None:
    return Generation.objects.of(user_id).filter(pk=generation_id).first()


def _stop_all(user_id: int, chat_id: UUID) -> None:
    run.stop_all(Generation.objects.of(user_id).filter(chat=chat_id))


stop_all = on_database_thread(_stop_all, writes=True)
