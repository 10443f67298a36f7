"""One event of an answer as it is passed around, and what each kind of event says to a client."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from chats.models import Event

Type = Event.Type


class LogEvent(NamedTuple):
    """An event of the log."""

    sequence: int
    type: str
    content: str = ""
    data: dict[str, Any] | None = None

    def row(self, generation_id: UUID) -> Event:
        return Event(
            generation_id=generation_id,
            sequence=self.sequence,
            type=self.type,
            content=self.content,
            data=self.data,
        )

    def to_client(self) -> dict[str, Any] | None:
        """Return the event as a client gets it; None for the last one, which only ends."""
        if self.type == Type.DONE:
            return None
        if self.type == Type.ERROR:
            return {"content": None, "error": self.data}
        if self.type == Type.METADATA:
            return {"type": self.type, "content": self.data}
        if self.type == Type.FINAL:
            return {"type": self.type, "content": self.content, "json": self.data}
        fields = {"type": self.type, "content": self.content}
        return fields | self.data if self.data else fields
