"""The steps in their order, and a verdict for each message.

Why the filter's own result stays as it is, and why a stricter mode never keeps more: one look at a
conversation names, for each mode, what to drop, and a stricter mode's names include the milder
one's. A mode looks until nothing is named, and begins where the milder mode came to rest. So its
result is one in which its own look, and every milder look, names nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from . import modes
from .features import memory
from .joins import joined, joins
from .look import Look
from .messages import Message


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message, and why."""

    index: int
    fate: str
    """`kept`, `dropped` or `protected`."""

    reason: str
    score: float | None = None
    """Its exchange's share of the best score, where one was worked out."""


def decide(
    messages: Sequence[Message],
    mode: str,
    *,
    pinned: Collection[int] = (),
    excluded: Collection[int] = (),
    deadline: float | None = None,
) -> list[Verdict]:
    """Return a verdict for each message, judged by what the last user message asks.

    `pinned` messages stay and `excluded` ones go, each with its whole exchange; what every
    conversation needs stays all the same. Raises `TooSlow` after `deadline`, an instant of
    `time.monotonic()`.
    """
    if mode == "off":
        return [Verdict(index, "kept", "filter off") for index in range(len(messages))]
    narrowing = _Narrowing(messages, pinned, excluded, deadline)
    for milder in modes.UP_TO[mode]:
        narrowing.to(modes.SHARES[milder])
    return narrowing.verdicts()


def kept(verdicts: Iterable[Verdict]) -> list[int]:
    """Return the places of the messages that stay."""
    return [v.index for v in verdicts if v.fate != "dropped"]


def at_shares(
    messages: Sequence[Message], shares: Sequence[float], *, deadline: float | None = None
) -> list[list[int]]:
    """Return what stays at each of the ascending `shares` of the best score, in one go."""
    narrowing = _Narrowing(messages, (), (), deadline)
    return [narrowing.to(share) for share in shares]


def ranked(messages: Sequence[Message]) -> list[float]:
    """Return a score for each message by itself; copies and the current turn have none: 0."""
    ranks = Look(messages, memory(), None).ranks
    return [ranks.get(index, 0.0) for index in range(len(messages))]


class _Narrowing:
    """A conversation that gets shorter, with what was dropped on the way and why."""

    def __init__(
        self,
        messages: Sequence[Message],
        pinned: Collection[int],
        excluded: Collection[int],
        deadline: float | None,
    ) -> None:
        self._pinned = frozenset(pinned)
        self._messages = list(messages)
        for index in self._pinned:
            self._messages[index] = replace(messages[index], is_protected=True)
        self._deadline = deadline
        self._memory = memory()
        self._runs = [[index] for index in range(len(messages))]
        self._verdicts: dict[int, Verdict] = {}
        self._look = self._looked()
        unwanted = self._look.excluded(frozenset(excluded))
        if unwanted:
            self._drop(unwanted)

    def to(self, share: float) -> list[int]:
        """Drop what scores below `share` until nothing more does; return what stays."""
        while gone := self._look.dropped(share):
            self._drop(gone)
        return [index for run in self._runs for index in run]

    def verdicts(self) -> list[Verdict]:
        """Return a verdict for each message of the whole conversation."""
        for place, (fate, reason, score) in self._look.stand().items():
            for index in self._runs[place]:
                why = "pinned" if index in self._pinned else reason
                self._verdicts[index] = Verdict(index, fate, why, score)
        return [self._verdicts[index] for index in range(len(self._messages))]

    def _looked(self) -> Look:
        messages = [joined([self._messages[i] for i in run]) for run in self._runs]
        return Look(messages, self._memory, self._deadline)

    def _drop(self, gone: dict[int, str]) -> None:
        """Take the exchanges `gone` away, for the reasons given, and look again."""
        lost = set()
        for number, reason in gone.items():
            for offset, place in enumerate(self._look.conversation.exchanges[number]):
                lost.add(place)
                for index in self._runs[place]:
                    why = self._named(reason, number, offset)
                    self._verdicts[index] = Verdict(
                        index, "dropped", why, self._look.shares.get(number)
                    )
        stays = [place for place in range(len(self._runs)) if place not in lost]
        self._runs = [
            [index for place in run for index in self._runs[place]]
            for run in joins(self._look.messages, stays)
        ]
        self._look = self._looked()

    def _named(self, reason: str, number: int, offset: int) -> str:
        """Name the message that a duplicate repeats by its place in the whole conversation."""
        if reason != "duplicate":
            return reason
        original = self._look.conversation.exchanges[self._look.copies[number]]
        return f"duplicate of {self._runs[original[offset]][0]}"
