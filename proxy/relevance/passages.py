"""How alike texts are to a question, each by itself: for texts that are no conversation."""

from __future__ import annotations

from collections.abc import Sequence

from .messages import Message
from .text.features import memory
from .text.tfidf import History


def alike(texts: Sequence[Message], question: Message) -> list[float]:
    """Return the TF-IDF cosine of each text and the question, from 0 to 1."""
    if not texts:
        return []
    known = memory()
    *features, question_features = known.of([*texts, question], _never_raise)
    history = History([[each] for each in features], question_features, known.terms)
    likeness: list[float] = history.likeness(history.vector()).tolist()
    return likeness


def _never_raise() -> None:
    """Let the work go on."""
