"""What a caller asks of a chat, and how: the values that travel from its edge to its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chats.answers.admission import Place
from chats.models import Generation


@dataclass(frozen=True, slots=True)
class Said:
    """A message as a client sends it."""

    role: str
    content: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is wanted, whatever the question."""

    persona: str = ""
    scope: str = ""
    voice: bool = False
    research: bool = False
    given: tuple[dict[str, str], ...] = ()
    """Texts that the answer should rest on: {content, title}."""
    relevance: str = ""
    """The mode of the caller's key or account."""
    cost: str = ""
    """The cost preset of the caller's key or account."""
    key_id: str = ""
    scopes: frozenset[str] = frozenset()
    """What the caller's token may do."""

    def parameters(self) -> dict[str, Any]:
        """Return what the answer's row remembers of it."""
        kept = asdict(self)
        del kept["persona"], kept["scopes"]
        return kept | {"given": list(self.given)}


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller asks, and where it goes."""

    history: Sequence[Said]
    chat_id: UUID | None = None
    manner: Manner = field(default_factory=Manner)
    key: str = ""
    """The idempotency key; empty without one."""
    username: str = ""
    source: str = ""
    title: str = ""

    def digest(self) -> str:
        """Return what tells this question from another one."""
        parts = [str(self.chat_id or ""), *(f"{s.role}\0{s.content}" for s in self.history)]
        manner = (self.manner.persona, self.manner.voice, self.manner.research, self.manner.given)
        return hashlib.sha256(msgspec.json.encode([parts, manner])).hexdigest()


class Begun(NamedTuple):
    """An answer; whoever began it has it run."""

    generation: Generation
    place: Place | None = None
    """What a new answer takes up; None for one that was begun before."""

    @property
    def is_new(self) -> bool:
        return self.place is not None
