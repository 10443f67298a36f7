"""Rows of a person's own, for what asks each address that names one."""

from __future__ import annotations

from django.utils import timezone

from alchemyst.accounts.models import User
from chats.models import Chat, Generation, Message
from personas.models import DEFAULT
from proxy.models import Provider


def own_rows(user: User) -> dict[str, str]:
    """Make a stored provider, and a chat with an answer; return what stands for them in paths."""
    provider = Provider.sealed(
        user.pk, name="mine", base_url="https://api.example.com/v1", key="sk-1"
    )
    provider.take_name()
    chat = Chat.objects.create(owner=user, title="Tea")
    chat.bulk_append(
        [Message(role="user", content="Which?"), Message(role="assistant", content="Oolong")]
    )
    answer = chat.messages_on()[1]
    generation = Generation.objects.create(
        owner=user,
        chat=chat,
        message=answer,
        state=Generation.State.COMPLETE,
        lease_until=timezone.now(),
    )
    return {
        "chat_id": str(chat.pk),
        "message_id": str(answer.pk),
        "replay_session_id": str(generation.pk),
        "provider_id": str(provider.pk),
        "slug": DEFAULT,
    }
