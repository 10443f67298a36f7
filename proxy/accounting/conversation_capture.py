"""Conversations on their way to whoever keeps them, off the request's path.

The proxy keeps none itself: an app that does registers a sink. Calls of API keys without the
setting never come here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from proxy.common.runtime.batch_writer import BatchWriter
from proxy.wire.answer_text import answer_text
from proxy.wire.dialect import Dialect, Request

MOST_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CapturedConversation:
    """A call that was answered: what was said before, and the answer as it came."""

    owner_id: int
    key_id: UUID
    created: datetime
    dialect: Dialect
    request: Request = field(repr=False)
    answer: bytes = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.request.body) + len(self.answer)

    def messages(self) -> list[tuple[str, str]]:
        """Return role and text of each message before the answer, without tools and their results.

        The roles are `system`, `user` and `assistant`.
        """
        return [
            (message.role, message.text)
            for message in self.request.messages
            if message.text.strip()
            and message.role != "tool"
            and not message.calls
            and not message.answers
        ]

    def answered(self) -> str:
        """Return the answer's text; empty if it calls tools, or can't be read."""
        return answer_text(self.dialect, self.answer)


_sinks: list[Callable[[list[CapturedConversation]], None]] = []


def register_sink(sink: Callable[[list[CapturedConversation]], None]) -> None:
    """Have conversations given to `sink`, in batches, on a thread that may use the database."""
    if sink not in _sinks:
        _sinks.append(sink)


def _hand_over(batch: list[CapturedConversation]) -> None:
    for sink in _sinks:
        sink(batch)


queue = BatchWriter(
    "conversations",
    _hand_over,
    at_once=20,
    most=MOST_WAITING_BYTES,
    weight=lambda conversation: conversation.size,
)
"""Takes the calls of keys that want their conversations kept."""
