"""Short ways to write a conversation down."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from proxy.relevance.filter import decide, indices_to_send
from proxy.relevance.messages import Message


def message(role: str, text: str, **more: object) -> Message:
    """Return a message; equal ones have equal digests."""
    digest = hashlib.blake2b(repr((role, text, more)).encode(), digest_size=16).digest()
    return replace(Message(role, text, digest), **more)


def user(text: str, **more: object) -> Message:
    return message("user", text, **more)


def assistant(text: str, **more: object) -> Message:
    return message("assistant", text, **more)


def system(text: str) -> Message:
    return message("system", text)


def calling(*ids: str, text: str = "") -> Message:
    return message("assistant", text, calls=ids, is_plain=False)


def result(id: str, text: str = "done") -> Message:
    return message("tool", text, answers=(id,), is_plain=False)


def chat(*texts: str) -> list[Message]:
    """Return user and assistant in turn."""
    return [message(("user", "assistant")[n % 2], text) for n, text in enumerate(texts)]


def stays(conversation: Sequence[Message], question: str, mode: str = "very_strict") -> set[int]:
    """Return the places that the filter keeps, without that of the question."""
    verdicts = decide([*conversation, user(question)], mode)
    return set(indices_to_send(verdicts)) - {len(conversation)}


def reasons(conversation: Sequence[Message], question: str, mode: str = "very_strict") -> list[str]:
    """Return the reason for each message but the question."""
    return [v.reason for v in decide([*conversation, user(question)], mode)][:-1]


BREAD = (
    "How do I bake a rye bread at home?",
    "Mix rye flour, water and a starter, let the dough rise overnight and bake it hot.",
)
CAPITAL = ("What is the capital of Norway?", "Oslo is the capital of Norway.")
CHESS = (
    "Explain the Sicilian defence in chess.",
    "Black answers the king's pawn with the c-pawn and fights for the centre from the side.",
)
JAZZ = ("Name a good jazz album.", "Mingus Ah Um by Charles Mingus is a fine one to begin with.")
