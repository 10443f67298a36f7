"""What a caller asks of a chat, and how: the values that travel from its edge to its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chats.answers.admission import Lease
from chats.models import Generation


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """A message as a client sends it."""

    role: str
    content: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How an answer is wanted, whatever the question."""

    persona: str = ""
    scope: str = ""
    voice: bool = False
    research: bool = False
    context_texts: tuple[dict[str, str], ...] = ()
    """Texts that the answer should rest on: {content, title}."""
    relevance: str = ""
    """The mode of the caller's key or account."""
    cost: str = ""
    """The cost preset of the caller's key or account."""
    key_id: str = ""
    scopes: frozenset[str] = frozenset()
    """What the caller's token may do."""

    def parameters(self) -> dict[str, Any]:
        """Return what of it is stored in the answer's row."""
        parameters = asdict(self)
        del parameters["persona"], parameters["scopes"]
        parameters["given"] = parameters.pop("context_texts")
        return parameters


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller asks, and where it goes."""

    history: Sequence[HistoryMessage]
    chat_id: UUID | None = None
    options: AnswerOptions = field(default_factory=AnswerOptions)
    idempotency_key: str = ""
    """The idempotency key; empty without one."""
    username: str = ""
    source: str = ""
    title: str = ""

    def digest(self) -> str:
        """Return a digest that differs from that of any other question."""
        parts = [str(self.chat_id or ""), *(f"{s.role}\0{s.content}" for s in self.history)]
        options = (
            self.options.persona,
            self.options.voice,
            self.options.research,
            self.options.context_texts,
        )
        return hashlib.sha256(msgspec.json.encode([parts, options])).hexdigest()


class StartedAnswer(NamedTuple):
    """An answer that is stored and queued; whoever started it has it run."""

    generation: Generation
    lease: Lease | None = None
    """What a new answer takes up; None for one that was started before."""

    @property
    def is_new(self) -> bool:
        return self.lease is not None
