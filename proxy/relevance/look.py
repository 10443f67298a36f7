"""One look at a conversation: what each exchange weighs, and what may not go."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from .duplicates import repeated
from .exchanges import taken_apart
from .features import Features, Memory
from .messages import Message
from .scoring import weighed

WORTH: Final = 0.10
"""The share of the text that must go, or none of it goes: less is not worth a changed prefix."""

MOST_EXCHANGES: Final = 2000

_OVERHEAD: Final = 16
"""What a message takes besides its text, in characters."""


class TooSlow(Exception):
    """The deadline passed, or there are too many exchanges to compare."""


class Look:
    """What stands in a conversation, for a question: worked out once, asked for several shares."""

    def __init__(self, messages: Sequence[Message], memory: Memory, deadline: float | None) -> None:
        self.messages = messages
        self.conversation = taken_apart(messages)
        self._deadline = deadline
        self.copies: dict[int, int] = {}
        self.shares: dict[int, float] = {}
        self.ranks: dict[int, float] = {}
        """A score for each message by itself, the larger the more it matters."""

        self._stays = self._needed()
        if self.conversation.exchanges and self.conversation.query is not None:
            self._judge(memory, self.conversation.query)

    def dropped(self, share: float) -> dict[int, str]:
        """Return the exchanges to drop, with the reason; a larger share never names fewer."""
        low = [n for n, s in self.shares.items() if s < share and n not in self._stays]
        total = sum(map(_size, self.messages))
        if sum(self._size_of(n) for n in low) < WORTH * total:
            low = []
        return dict.fromkeys(low, "below threshold") | dict.fromkeys(self.copies, "duplicate")

    def excluded(self, indices: frozenset[int]) -> dict[int, str]:
        """Return the exchanges that hold one of `indices` and may go."""
        return {
            number: "excluded" if len(exchange) == 1 else f"exchange of {min(named)}"
            for number, exchange in enumerate(self.conversation.exchanges)
            if (named := indices.intersection(exchange)) and number not in self._needed()
        }

    def stand(self) -> dict[int, tuple[str, str, float | None]]:
        """Return fate, reason and score of each message, all of which stay."""
        standing: dict[int, tuple[str, str, float | None]] = {}
        needed = self._needed()
        for index, message in enumerate(self.messages):
            if message.role == "system":
                standing[index] = ("protected", "system message", None)
            elif index in self.conversation.current:
                standing[index] = ("protected", "current turn", None)
        for number, exchange in enumerate(self.conversation.exchanges):
            fate = "protected" if number in needed else "kept"
            reason = self._stays.get(number, "relevant")
            standing |= dict.fromkeys(exchange, (fate, reason, self.shares.get(number)))
        return standing

    def _needed(self) -> dict[int, str]:
        """Return the exchanges that every mode must keep."""
        needed = {}
        for number, exchange in enumerate(self.conversation.exchanges):
            for index in exchange:
                if self.messages[index].is_protected:
                    needed[number] = f"exchange of {index}"
                    break
        if self.conversation.last is not None:
            needed[self.conversation.last] = "last exchange"
        return needed

    def _judge(self, memory: Memory, query: int) -> None:
        past = self.conversation.exchanges
        if len(past) > MOST_EXCHANGES:
            raise TooSlow(f"more than {MOST_EXCHANGES} exchanges")
        features: dict[int, Features] = {}
        for index in [query, *(index for exchange in past for index in exchange)]:
            features[index] = memory.of(self.messages[index])
            self._check()
        self.copies = repeated(self.messages, features, self.conversation)
        judged = [number for number in range(len(past)) if number not in self.copies]
        shares, ranks, reasons = weighed(
            [[features[i] for i in past[n]] for n in judged],
            [[self.messages[i] for i in past[n]] for n in judged],
            features[query],
            memory.terms,
        )
        self._check()
        self.shares = dict(zip(judged, shares, strict=True))
        self.ranks = dict(zip((i for n in judged for i in past[n]), ranks, strict=True))
        self._stays = {judged[place]: why for place, why in reasons.items()} | self._stays

    def _check(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TooSlow("the deadline passed")

    def _size_of(self, number: int) -> int:
        return sum(_size(self.messages[i]) for i in self.conversation.exchanges[number])


def _size(message: Message) -> int:
    return len(message.text) + _OVERHEAD
