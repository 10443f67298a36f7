"""What the chats keep of a person, for their export: the trash as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chats.models import Chat
from chats.transfer.batches import each_chat, each_message
from chats.transfer.exports import told, told_message


def chats(user_id: int) -> Iterator[dict[str, Any]]:
    for chat in each_chat(Chat.objects.filter(owner=user_id)):
        yield told(chat) | {"deletedAt": chat.deleted_at}


def messages(user_id: int) -> Iterator[dict[str, Any]]:
    for chat in each_chat(Chat.objects.filter(owner=user_id)):
        for message in each_message(chat.messages.all()):
            yield {"chatId": str(chat.pk), **told_message(message)}
