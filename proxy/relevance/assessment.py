"""One look at a conversation: what each exchange weighs, and what may not go."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from .duplicates import repeated
from .exchanges import split_exchanges
from .keep_rules import apply_keep_rules, reasons
from .kinds.model import Judgement, judge
from .messages import Message
from .scoring import OVERHEAD, scored
from .text import embeddings
from .text.embeddings import Meaning
from .text.features import Features, Memory
from .text.tfidf import History
from .topics import Topics

MIN_SAVING: Final = 0.10
"""The share of the text that must go, or none of it goes: less is not worth a changed prefix."""

ABOUT: Final = 0.3
"""How likely a question must be about the conversation itself, for all of it to stay."""

STANDS_ALONE: Final = 0.1
"""The last exchange may go, in the strictest mode, if it is needed less than this."""

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
        """How likely the question needs each exchange that is no copy."""

        self.stands_alone = False
        """Whether the question surely needs nothing of the last exchange."""

        self.judgement: Judgement | None = None
        self._kinds: dict[int, str] = {}
        self.ranks: dict[int, float] = {}
        """A score for each message by itself, the larger the more it matters."""

        self.needed = self._always()
        """The exchanges that every mode keeps, with the reason."""

        self._stays = self.needed
        if self.conversation.exchanges and self.conversation.query is not None:
            self._judge(memory, self.conversation.query)

    def level(self, threshold: float, most_risk: float) -> float:
        """Return the highest threshold up to this one at which no more than that is risked."""
        if self.judgement is None:
            return 0.0
        return self.judgement.level(threshold, most_risk)

    def confidence(self, level: float) -> float:
        """Return how sure it is that nothing needed is under `level`."""
        return 1.0 if self.judgement is None else self.judgement.confidence(level)

    def dropped(self, level: float, *, may_last_go: bool = False) -> dict[int, str]:
        """Return the exchanges to drop, with the reason; a higher level never names fewer."""
        low = self.under(level)
        if may_last_go and self.stands_alone and self.conversation.last is not None:
            low = [*low, self.conversation.last]
        if sum(self._size_of(n) for n in low) < MIN_SAVING * sum(self._sizes):
            low = []
        return {n: self.worded("below threshold", n) for n in low} | dict.fromkeys(
            self.copies, "duplicate"
        )

    def under(self, level: float) -> list[int]:
        """Return the exchanges that are needed less and have no other reason to stay."""
        return [n for n, s in self.shares.items() if s < level and n not in self._stays]

    def excluded(self, indices: frozenset[int]) -> dict[int, str]:
        """Return the exchanges that hold one of `indices` and may go."""
        return {
            number: f"exchange of {min(unwanted)}"
            for number, exchange in enumerate(self.conversation.exchanges)
            if (unwanted := indices.intersection(exchange)) and number not in self.needed
        }

    def statuses(self, threshold: float = 0.0) -> list[tuple[str, str, float | None]]:
        """Return fate, reason and score of each message, as long as nothing is dropped.

        What is needed less than `threshold` and stays all the same, stays because of the risk.
        """
        current = self.conversation.current
        standing: list[tuple[str, str, float | None]] = [
            ("protected", "current turn" if index in current else "system message", None)
            for index in range(len(self.messages))
        ]
        for number, exchange in enumerate(self.conversation.exchanges):
            fate = "protected" if number in self.needed else "kept"
            score = self.shares.get(number)
            usual = "not sure" if score is not None and score < threshold else "relevant"
            reason = self._stays.get(number) or self.worded(usual, number)
            for index in exchange:
                standing[index] = (fate, reason, score)
        return standing

    def worded(self, reason: str, number: int) -> str:
        """Return `reason` with the kind of the exchange."""
        kind = self._kinds.get(number)
        return f"{reason}; {kind}" if kind else reason

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
        question = self.messages[query].as_question()
        spoken = [question, *(self.messages[index] for index in needed[1:])]
        known = memory.of(spoken, self._check)
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
        self.ranks = dict(zip(places, scores.messages.tolist(), strict=True))
        sizes = np.array([self._size_of(number) for number in compared], np.float64)
        past_messages = [[self.messages[i] for i in past[number]] for number in compared]
        self.judgement = judge(history, topics, scores, past_messages, sizes)
        self._kinds = dict(zip(compared, self.judgement.kinds, strict=True))
        needs = apply_keep_rules(
            self.judgement.weighed_needs, exchanges, topics, self.judgement.kinds
        )
        self.shares = dict(zip(compared, needs.tolist(), strict=True))
        standing = {compared[n]: why for n, why in reasons(exchanges, topics).items()}
        if self.judgement.about_conversation >= ABOUT:
            standing |= dict.fromkeys(compared, "about the conversation")
        standing = self._wordless(features) | standing
        self.stands_alone = self._is_last_idle(standing)
        self._stays = standing | self._stays

    def _is_last_idle(self, standing: Mapping[int, str]) -> bool:
        """Tell whether the last exchange has no reason to stay but that it is the last."""
        last = self.conversation.last
        if last is None or last in standing or self.shares.get(last, 1.0) >= STANDS_ALONE:
            return False
        spoken = [self.messages[i] for i in self.conversation.exchanges[last]]
        return not any(m.is_protected or embeddings.is_nothing(m.vector) for m in spoken)

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
        names = {m.name for m in self.messages if m.name}
        named = {name for name in names if name.casefold() in question}
        return [self.messages[index].name in named for index in places]

    def _check(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TooSlow("the deadline passed")

    def _size_of(self, number: int) -> int:
        return sum(self._sizes[i] for i in self.conversation.exchanges[number])
