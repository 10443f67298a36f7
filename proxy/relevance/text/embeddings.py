"""What texts mean to a sentence encoder: directions that messages carry, beside their words.

The encoder itself is not known here. A direction is kept as one byte for each of its numbers, of
which only the proportions count; so it is the same wherever it was kept meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from .tfidf import Floats, Ints

READ: Final = 1500
"""Characters at the beginning of a text that are encoded; small encoders read no further."""

ENDS: Final = 300
"""Characters of each end of a question that are encoded: it is waited for, and what it asks stands
before or after what it brings along."""

UNRELATED: Final = 0.2
"""The cosine of two texts that have nothing to do with each other is often as high as this."""

USUAL: Final = 0.4
"""The share of a history's pairs whose cosine says nothing: in a language that an encoder reads
badly all texts look alike to it, so what is no more alike than most has nothing in common."""

MOST_COMPARED: Final = 64
"""Messages whose pairs tell what is usual."""

TO_QUESTION: Final = 1.0
TO_EACH_OTHER: Final = 0.3
"""What a cosine above that counts, beside the likeness of words."""

_LARGEST: Final = 127


@dataclass(frozen=True, slots=True)
class Meaning:
    """The directions of the past messages, a row each, and of the question."""

    messages: Floats
    question: Floats

    @classmethod
    def of(cls, messages: Sequence[bytes], question: bytes) -> Meaning | None:
        """Return what these packed directions say; None where words alone count.

        They do where one is missing, and where the question says nothing to the encoder.
        """
        if not any(question) or not all(messages):
            return None
        rows = unpacked([*messages, question])
        return cls(rows[:-1], rows[-1])

    def to_question(self) -> Floats:
        """Return what each message's meaning adds to its likeness to the question."""
        return TO_QUESTION * self._beyond_usual(self.messages @ self.question)

    def of_pairs(self, bounds: Ints) -> Floats:
        """Return what it adds to the likeness of each pair of exchanges."""
        rows = _of_length_one(np.add.reduceat(self.messages, bounds[:-1], axis=0))
        pairs = TO_EACH_OTHER * self._beyond_usual(rows @ rows.T)
        np.fill_diagonal(pairs, 0)
        return pairs

    def _beyond_usual(self, cosines: Floats) -> Floats:
        return np.maximum(cosines - self._usual(), 0)

    def _usual(self) -> float:
        """Return the cosine that texts of this history have, whatever they say."""
        some = self.messages[:: len(self.messages) // MOST_COMPARED + 1]
        pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
        return max(UNRELATED, float(np.quantile(pairs, USUAL))) if len(pairs) else UNRELATED


def ends_of(question: str) -> str:
    """Return what is encoded of a question."""
    return question if len(question) <= 2 * ENDS else f"{question[:ENDS]}\n{question[-ENDS:]}"


def packed(direction: ArrayLike) -> bytes:
    """Return a direction, of any length but zero, as a byte for each number."""
    numbers = np.asarray(direction, np.float64)
    return np.rint(numbers * (_LARGEST / np.abs(numbers).max())).astype(np.int8).tobytes()


def unpacked(directions: Sequence[bytes]) -> Floats:
    """Return packed directions as rows of length one; those that say nothing as zeros."""
    rows = np.frombuffer(b"".join(directions), np.int8).reshape(len(directions), -1)
    return _of_length_one(rows.astype(np.float64))


def nothing(width: int) -> bytes:
    """Return what stands for a text that says nothing."""
    return bytes(width)


def is_nothing(direction: bytes) -> bool:
    """Tell whether this stands for a text that says nothing, or is too new to be known."""
    return bool(direction) and not any(direction)


def joined(directions: Sequence[bytes]) -> bytes:
    """Return the direction of texts that became one; empty where one of theirs is missing."""
    if not all(directions):
        return b""
    total = unpacked(directions).sum(axis=0)
    return packed(total) if total.any() else nothing(len(total))


def _of_length_one(rows: Floats) -> Floats:
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows / np.where(lengths > 0, lengths, 1)
