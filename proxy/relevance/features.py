"""What is worked out of each message once, and remembered for the turns to come.

A turn repeats the whole conversation, so all but its newest messages have been seen. Memory is
bounded: by bytes for the features, by number for the terms and words.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import phrases, words
from .messages import Message

READ: Final = 24_000
"""Characters at each end of a message that are read; a pasted log says the rest twice."""

MOST_BYTES: Final = 32 * 2**20
MOST_TERMS: Final = 150_000
MOST_WORDS: Final = 60_000
VAGUE_WEIGHT: Final = 0.3
_OVERHEAD: Final = 900
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the filter remembers of a message."""

    ids: NDArray[np.int32]
    """Its terms, each once, in the order of their first appearance."""

    counts: NDArray[np.float32]
    """1 + ln(how often), for each term: scikit-learn's `sublinear_tf`."""

    weights: NDArray[np.float32]
    """What each term weighs in a question: words of asking weigh little."""

    said: bytes
    """Equal where two texts differ in case and white space at most."""

    letters: int
    points_back: bool
    goes_on: bool
    sets_a_rule: bool
    asks_back: bool
    corrects: bool
    is_question: bool
    length: int

    @property
    def content(self) -> float:
        """How much it says by itself, in words."""
        return float(self.weights.sum())

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return _OVERHEAD + self.ids.nbytes + self.counts.nbytes + self.weights.nbytes


class Memory:
    """Features by digest, the least recently used forgotten first; safe to share among threads.

    Terms are numbered as they come, so a number means something to this memory alone, and no
    result may depend on which number a term has.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._features: OrderedDict[bytes, Features] = OrderedDict()
        self._bytes = 0
        self._numbers: dict[str, int] = {}
        self._words: dict[str, tuple[int, ...]] = {}
        self._vague: set[int] = set()

    @property
    def is_full(self) -> bool:
        """Tell whether so many terms are known that a new memory should take over."""
        return len(self._numbers) > MOST_TERMS

    @property
    def terms(self) -> int:
        """How many numbers have been given to terms."""
        return len(self._numbers)

    def of(self, message: Message) -> Features:
        """Return what is known of `message`, working it out if it is new."""
        with self._lock:
            known = self._features.get(message.digest)
            if known is not None:
                self._features.move_to_end(message.digest)
                return known
            features = self._worked_out(message)
            self._features[message.digest] = features
            self._bytes += features.size
            while self._bytes > MOST_BYTES and len(self._features) > 1:
                self._bytes -= self._features.popitem(last=False)[1].size
            return features

    def _worked_out(self, message: Message) -> Features:
        text = message.text
        read = text if len(text) <= 2 * READ else f"{text[:READ]}\n{text[-READ:]}"
        chunks = words.CHUNK.findall(f"{message.name} {read}" if message.name else read)
        count: Counter[int] = Counter()
        for chunk, times in Counter(chunks).items():
            for number in self._words.get(chunk) or self._numbered(chunk):
                count[number] += times
        ids = np.fromiter(count, np.int32, len(count))
        times_ = np.fromiter(count.values(), np.float32, len(count))
        weights = np.ones(len(ids), np.float32)
        weights[[n for n, i in enumerate(count) if i in self._vague]] = VAGUE_WEIGHT
        plain = _SPACES.sub(" ", text).strip().casefold()
        return Features(
            ids=ids,
            counts=1 + np.log(times_),
            weights=weights,
            said=hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=16).digest(),
            letters=sum(c.isalnum() + (c > "\u2e80") for c in plain[:200]),
            points_back=phrases.points_back(text),
            goes_on=phrases.goes_on(text),
            sets_a_rule=phrases.sets_a_rule(text),
            asks_back=phrases.asks_back(text),
            corrects=phrases.corrects(text),
            is_question="?" in text or "？" in text or "؟" in text,
            length=len(text),
        )

    def _numbered(self, chunk: str) -> tuple[int, ...]:
        numbers = []
        for term in words.terms(chunk):
            number = self._numbers.setdefault(term, len(self._numbers))
            if words.is_vague(term):
                self._vague.add(number)
            numbers.append(number)
        if len(self._words) >= MOST_WORDS:
            self._words.clear()
        self._words[chunk] = tuple(numbers)
        return self._words[chunk]


_memory = Memory()
_taking_over = threading.Lock()


def memory() -> Memory:
    """Return the memory to use for one decision from its beginning to its end."""
    global _memory
    if _memory.is_full:
        with _taking_over:
            if _memory.is_full:
                _memory = Memory()
    return _memory
