"""What the chats keep of a person, for their export: the trash as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chats.models import Chat
from chats.transfer.batches import iterate_chats, iterate_messages
from chats.transfer.exports import chat_to_json, message_to_json


def chats(user_id: int) -> Iterator[dict[str, Any]]:
    for chat in iterate_chats(Chat.objects.filter(owner=user_id)):
        yield chat_to_json(chat) | {"deletedAt": chat.deleted_at}


def messages(user_id: int) -> Iterator[dict[str, Any]]:
    for chat in iterate_chats(Chat.objects.filter(owner=user_id)):
        for message in iterate_messages(chat.messages.all()):
            yield {"chatId": str(chat.pk), **message_to_json(message)}
