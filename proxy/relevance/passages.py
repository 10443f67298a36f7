"""How alike texts are to a question, each by itself: for texts that are no conversation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .messages import Message
from .text import embeddings
from .text.embeddings import Meaning
from .text.features import memory
from .text.tfidf import History


def alike(texts: Sequence[Message], question: Message) -> list[float]:
    """Return how alike each text and the question are, from 0 to 1.

    That is the TF-IDF cosine, and what their meanings have in common, where both are known.
    """
    if not texts:
        return []
    known = memory()
    *features, question_features = known.of([*texts, question], _never_raise)
    history = History([[each] for each in features], question_features, known.terms)
    likeness = history.likeness(history.vector())
    unknown = embeddings.nothing(len(question.vector))
    meaning = Meaning.of([text.vector or unknown for text in texts], question.vector)
    if meaning is not None:
        likeness = np.minimum(likeness + meaning.to_question(), 1)
    rounded: list[float] = np.round(likeness, 9).tolist()
    return rounded


def _never_raise() -> None:
    """Let the work go on."""
