"""The fingerprint of a chat: it changes when a page of the chat would have to."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

from chats.models import Chat, Generation


@dataclass(frozen=True, slots=True)
class ChatFingerprint:
    """A chat as it is now, as far as its page would look different."""

    answer: tuple[UUID, UUID, str] | None
    """The newest answer, its message and its state."""
    page_state: tuple[Any, ...]

    @property
    def running(self) -> tuple[UUID, UUID] | None:
        """The answer that is being written, and its message."""
        if self.answer is None or self.answer[2] not in Generation.RUNNING:
            return None
        return self.answer[:2]

    @property
    def etag(self) -> str:
        """What a page remembers of it: where it would look different, this differs."""
        return blake2b(repr(astuple(self)).encode(), digest_size=8).hexdigest()


def fingerprint_of(chat: Chat) -> ChatFingerprint:
    answers = chat.generations.order_by("-created", "-pk").values_list("pk", "message", "state")
    heading = (chat.branch_id, chat.updated, chat.title, chat.relevance)
    return ChatFingerprint(answers.first(), heading)
