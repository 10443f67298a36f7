"""What the filter may know of a message, whatever format it came in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; the wire formats make them."""

    role: str
    """`system` (developer too), `user`, `assistant` or `tool` (function too)."""

    text: str
    """All its text, joined by newlines, and the names and arguments of its tool calls."""

    digest: bytes
    """Of the whole message: equal digests mean equal messages."""

    name: str = ""
    calls: tuple[str, ...] = ()
    """The ids of the tool calls that it makes."""

    answers: tuple[str, ...] = ()
    """The ids of the tool calls whose results it carries."""

    is_plain: bool = True
    """Nothing but a role and text: it may be joined with a neighbour, or be a duplicate."""

    may_be_joined: bool = True
    """Whether its format lets two messages become one, where both are plain."""

    is_protected: bool = False
    """The wire says that it must stay, besides what the filter itself protects."""

    tokens: int = 0

    question: str = ""
    """What of its text asks, where other text stands around it; empty: all of it."""

    continues: bool = False
    """Whether it is one turn with the user's message before it."""

    vector: bytes = field(default=b"", repr=False)
    """What its text means to an encoder (`text/embeddings.py`); empty where that is not known."""

    def as_question(self) -> Message:
        """Return what is compared with the past, where this message is the newest question."""
        if not self.question:
            return self
        digest = hashlib.blake2b(b"question" + self.digest, digest_size=16).digest()
        return replace(self, text=self.question, question="", digest=digest)
