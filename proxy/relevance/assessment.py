"""One look at a conversation: what each exchange weighs, and what may not go."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from .duplicates import repeated
from .exchanges import split_exchanges
from .keep_rules import apply_keep_rules, reasons
from .messages import Message
from .scoring import OVERHEAD, scored
from .text.embeddings import Meaning
from .text.features import Features, Memory
from .text.tfidf import History
from .topics import Topics

MIN_SAVING: Final = 0.10
"""The share of the text that must go, or none of it goes: less is not worth a changed prefix."""

MOST_EXCHANGES: Final = 2000


class TooSlow(Exception):
    """The deadline passed, or there are too many exchanges to compare."""


class Assessment:
    """What stands in a conversation, for a question: worked out once, read for several shares."""

    def __init__(self, messages: Sequence[Message], memory: Memory, deadline: float | None) -> None:
        self.messages = messages
        self.conversation = split_exchanges(messages)
        self._sizes = [len(message.text) + OVERHEAD for message in messages]
        self._deadline = deadline
        self.copies: dict[int, int] = {}
        self.shares: dict[int, float] = {}
        self.ranks: dict[int, float] = {}
        """A score for each message by itself, the larger the more it matters."""

        self.needed = self._always()
        """The exchanges that every mode keeps, with the reason."""

        self._stays = self.needed
        if self.conversation.exchanges and self.conversation.query is not None:
            self._judge(memory, self.conversation.query)

    def dropped(self, share: float) -> dict[int, str]:
        """Return the exchanges to drop, with the reason; a larger share never names fewer."""
        low = self.under(share)
        if sum(self._size_of(n) for n in low) < MIN_SAVING * sum(self._sizes):
            low = []
        return dict.fromkeys(low, "below threshold") | dict.fromkeys(self.copies, "duplicate")

    def under(self, share: float) -> list[int]:
        """Return the exchanges that score less and have no other reason to stay."""
        return [n for n, s in self.shares.items() if s < share and n not in self._stays]

    def excluded(self, indices: frozenset[int]) -> dict[int, str]:
        """Return the exchanges that hold one of `indices` and may go."""
        return {
            number: f"exchange of {min(unwanted)}"
            for number, exchange in enumerate(self.conversation.exchanges)
            if (unwanted := indices.intersection(exchange)) and number not in self.needed
        }

    def statuses(self) -> list[tuple[str, str, float | None]]:
        """Return fate, reason and score of each message, as long as nothing is dropped."""
        current = self.conversation.current
        standing: list[tuple[str, str, float | None]] = [
            ("protected", "current turn" if index in current else "system message", None)
            for index in range(len(self.messages))
        ]
        for number, exchange in enumerate(self.conversation.exchanges):
            fate = "protected" if number in self.needed else "kept"
            reason, score = self._stays.get(number, "relevant"), self.shares.get(number)
            for index in exchange:
                standing[index] = (fate, reason, score)
        return standing

    def _always(self) -> dict[int, str]:
        """Return the exchanges that every mode keeps."""
        marked = {
            number: "protected exchange"
            for number, exchange in enumerate(self.conversation.exchanges)
            if any(self.messages[index].is_protected for index in exchange)
        }
        last = self.conversation.last
        return marked if last is None else marked | {last: "last exchange"}

    def _judge(self, memory: Memory, query: int) -> None:
        past = self.conversation.exchanges
        if len(past) > MOST_EXCHANGES:
            raise TooSlow(f"more than {MOST_EXCHANGES} exchanges")
        needed = [query, *(index for exchange in past for index in exchange)]
        known = memory.of((self.messages[index] for index in needed), self._check)
        features = dict(zip(needed, known, strict=True))
        self.copies = repeated(self.messages, features, self.conversation)
        compared = [number for number in range(len(past)) if number not in self.copies]
        exchanges = [[features[i] for i in past[number]] for number in compared]
        history = History(exchanges, features[query], memory.terms)
        places = [i for number in compared for i in past[number]]
        meaning = Meaning.of([self.messages[i].vector for i in places], self.messages[query].vector)
        topics = Topics(history, meaning)
        self._check()
        scores = scored(history, topics, self._named(places, query), meaning)
        self._check()
        shares = apply_keep_rules(scores.exchanges, exchanges, topics)
        self.shares = dict(zip(compared, shares.tolist(), strict=True))
        self.ranks = dict(zip(places, scores.messages.tolist(), strict=True))
        standing = {compared[n]: why for n, why in reasons(exchanges, topics).items()}
        self._stays = self._wordless(features) | standing | self._stays

    def _wordless(self, features: Mapping[int, Features]) -> dict[int, str]:
        """Return the exchanges in which a user sent an image or the like without a word."""
        return {
            number: "not text"
            for number, exchange in enumerate(self.conversation.exchanges)
            for index in exchange
            if self.messages[index].role == "user"
            and not self.messages[index].is_plain
            and not len(features[index].ids)
        }

    def _named(self, places: Sequence[int], query: int) -> list[bool]:
        """Tell which messages come from somebody whom the question names."""
        question = self.messages[query].text.casefold()
        names = {m.name for m in self.messages if m.name and m.name.casefold() in question}
        return [self.messages[index].name in names for index in places]

    def _check(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TooSlow("the deadline passed")

    def _size_of(self, number: int) -> int:
        return sum(self._sizes[i] for i in self.conversation.exchanges[number])
