"""Conversations on their way to whoever keeps them, off the request's path.

The proxy keeps none itself: an app that does registers a sink. Calls of API keys without the
setting never come here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec

from proxy.common.runtime.batch_writer import BatchWriter
from proxy.errors import ApiError
from proxy.wire import gemini, stream_events
from proxy.wire.dialect import Dialect, Request
from proxy.wire.sse import EventReader

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
        read = (
            stream_events.parse_gemini_event
            if self.dialect is gemini
            else stream_events.parse_openai_event
        )
        texts = []
        try:
            for data in self._events():
                if b'"functionCall"' in data or b'"tool_calls"' in data:
                    return ""
                if data != stream_events.DONE:
                    texts.append(read(data).text)
        except (ApiError, ValueError, RecursionError):
            return ""
        return "".join(texts)

    def _events(self) -> list[bytes]:
        """Return what came in events, in a list, or as a whole."""
        start = self.answer.lstrip()[:1]
        if start == b"[":
            return list(map(bytes, msgspec.json.decode(self.answer, type=list[msgspec.Raw])))
        if start == b"{":
            return [self.answer]
        reader = EventReader()
        return [*reader.read(self.answer), *reader.end()]


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
