"""What texts mean to a sentence encoder, for those who want one beside the words.

None is used unless `use` was called. Vectors are remembered by what the text says, so that a turn
pays for its new messages only, and a history too long for one request's time is known after a few.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from .tfidf import Floats, Ints

READ: Final = 1500
"""Characters at the beginning of a text that are encoded; small encoders read no further."""

MOST_BYTES: Final = 32 * 2**20
_OVERHEAD: Final = 250

UNRELATED: Final = 0.2
"""The cosine of two texts that have nothing to do with each other is often as high as this."""

TO_QUESTION: Final = 1.0
TO_EACH_OTHER: Final = 0.3
"""What a cosine above that counts, beside the likeness of words."""


class Encoder(Protocol):
    """Gives a text a direction; the same text must always get the same one."""

    width: int

    def vector(self, text: str) -> NDArray[np.float32]:
        """Return `width` numbers, of length one."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The vectors of the past messages, a row each, and of the question."""

    messages: Floats
    question: Floats

    def to_question(self) -> Floats:
        """Return what each message's meaning adds to its likeness to the question."""
        return TO_QUESTION * _above(self.messages @ self.question)

    def of_pairs(self, bounds: Ints) -> Floats:
        """Return what it adds to the likeness of each pair of exchanges."""
        rows = np.add.reduceat(self.messages, bounds[:-1], axis=0)
        lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        rows /= np.where(lengths > 0, lengths, 1)
        pairs = TO_EACH_OTHER * _above(rows @ rows.T)
        np.fill_diagonal(pairs, 0)
        return pairs


class Vectors:
    """Vectors by text, the least recently used forgotten first; safe to share among threads."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._most = MOST_BYTES // (4 * encoder.width + _OVERHEAD)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, texts: Sequence[str], check: Callable[[], None]) -> Floats:
        """Return a row for each text, encoding those that are new.

        `check` is called before each new text; what it raises ends the work, and what was encoded
        until then stays known.
        """
        rows = np.empty((len(texts), self._encoder.width))
        for place, text in enumerate(texts):
            rows[place] = self._of(text[:READ], check)
        return rows

    def _of(self, text: str, check: Callable[[], None]) -> NDArray[np.float32]:
        name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            vector = self._known.get(name)
            if vector is not None:
                self._known.move_to_end(name)
                return vector
        check()
        # Alone, not in a batch: what else is in a batch changes the last digits.
        vector = self._encoder.vector(text)
        with self._lock:
            self._known[name] = vector
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return vector


_vectors: Vectors | None = None


def use(encoder: Encoder | None) -> None:
    """Let the filter ask `encoder` from now on; None: words alone."""
    global _vectors
    _vectors = None if encoder is None else Vectors(encoder)


def vectors() -> Vectors | None:
    """Return what is to be asked, if an encoder is used."""
    return _vectors


def _above(cosines: Floats) -> Floats:
    return np.maximum(cosines - UNRELATED, 0)
