"""What is worked out of each message once, and remembered for the turns to come.

A turn repeats the whole conversation, so all but its newest messages have been seen. Memory is
bounded: by bytes for the features, by number for the terms and words.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.common.lru import LRUCache

from ..messages import Message
from . import form, phrases, words

READ: Final = 24_000
"""Characters at each end of a message that are read; a pasted log says the rest twice."""

MOST_BYTES: Final = 32 * 2**20
MOST_TERMS: Final = 150_000
MOST_WORDS: Final = 60_000
VAGUE_WEIGHT: Final = 0.3
_OVERHEAD: Final = 900

SHORTEST: Final = 12
"""Characters of a text that says more than "yes" or "the second one"; wide ones count twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the filter remembers of a message."""

    ids: NDArray[np.int32]
    """Its terms, each once, in the order of their first appearance."""

    counts: NDArray[np.float64]
    """1 + ln(how often), for each term: scikit-learn's `sublinear_tf`."""

    weights: NDArray[np.float64]
    """What each term weighs in a question: words of asking weigh little."""

    text_hash: bytes
    """Equal where two texts differ in case and white space at most."""

    is_short: bool
    """Whether it says as little as "yes" or "next", so that its repetition means nothing."""

    content: float
    """How much it says by itself, in words."""

    is_anaphoric: bool
    is_continuation: bool
    sets_a_rule: bool
    asks_back: bool
    corrects: bool
    is_question: bool
    length: int

    form: NDArray[np.float32]
    """What holds of its form, in the order of `form.NAMES`."""

    opening: int
    """Equal where two texts begin with the same word."""

    script: int

    changes_something: bool
    """Whether it calls a tool that does more than look."""

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return _OVERHEAD + (
            self.ids.nbytes + self.counts.nbytes + self.weights.nbytes + self.form.nbytes
        )


class Memory:
    """Features by digest, the least recently used forgotten first; safe to share among threads.

    Terms are numbered as they come, so a number means something to this memory alone, and no
    result may depend on which number a term has.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._features: LRUCache[Features] = LRUCache(MOST_BYTES, largest=MOST_BYTES)
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

    def of(self, messages: Iterable[Message], check: Callable[[], None]) -> list[Features]:
        """Return what is known of each message, working out what is new.

        `check` is called before each new message; what it raises ends the work.
        """
        listed = list(messages)
        known = self._features.get_many([message.digest for message in listed])
        return [
            self._add(message, check) if features is None else features
            for message, features in zip(listed, known, strict=True)
        ]

    def _add(self, message: Message, check: Callable[[], None]) -> Features:
        check()
        with self._lock:
            # Another thread may have met it meanwhile, and a conversation may say a thing twice.
            features = self._features.get(message.digest)
            if features is None:
                features = self._extract(message)
                self._features.put(message.digest, features, cost=features.size)
        return features

    def _extract(self, message: Message) -> Features:
        text = message.text
        read = text if len(text) <= 2 * READ else f"{text[:READ]}\n{text[-READ:]}"
        count = self._count_terms(f"{message.name} {read}" if message.name else read)
        weights = [VAGUE_WEIGHT if i in self._vague else 1.0 for i in count]
        plain = " ".join(text.split()).casefold()
        found_phrases = phrases.Phrases(text)
        is_users = message.role == "user"
        return Features(
            ids=np.fromiter(count, np.int32, len(count)),
            counts=1 + np.log(np.fromiter(count.values(), np.float64, len(count))),
            weights=np.array(weights),
            content=sum(weights),
            text_hash=hashlib.blake2b(
                plain.encode("utf-8", "surrogatepass"), digest_size=16
            ).digest(),
            is_short=_breadth(plain) < SHORTEST,
            is_anaphoric=is_users and found_phrases.is_anaphoric(),
            is_continuation=is_users and found_phrases.is_continuation(),
            sets_a_rule=is_users and found_phrases.sets_a_rule(),
            asks_back=not is_users and found_phrases.asks_back(),
            corrects=is_users and found_phrases.corrects(),
            is_question="?" in read or "？" in read or "؟" in read,
            length=len(text),
            form=form.form(text),
            opening=form.opening(text),
            script=form.script(text),
            changes_something=bool(message.calls) and form.changes_something(text),
        )

    def _count_terms(self, text: str) -> dict[int, int]:
        count: dict[int, int] = {}
        known = self._words.get
        for chunk in words.CHUNK.findall(text):
            numbers = known(chunk)
            for number in self._numbered(chunk) if numbers is None else numbers:
                count[number] = count.get(number, 0) + 1
        return count

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


def _breadth(text: str) -> int:
    """Return how many characters the words have that a text begins with; wide ones count twice."""
    begin = text[: 4 * SHORTEST]
    letters = sum(map(len, words.CHUNK.findall(begin)))
    return letters if begin.isascii() else letters + sum(c >= "\u2e80" for c in begin)


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
