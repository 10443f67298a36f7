"""The steps in their order, and a verdict for each message.

Why the filter's own result stays as it is, and why a stricter mode never keeps more: one look at a
conversation names, for each mode, what to drop, and a stricter mode's names include the milder
one's. A mode drops what the first look names, and what the milder mode dropped, and then looks
until nothing more is named. So its result is one in which its own look, and every milder look,
names nothing.
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
        self._dropped: dict[int, Verdict] = {}
        self._first = self._now = self._looked(range(len(messages)))
        unwanted = self._first.look.excluded(frozenset(excluded)) if excluded else {}
        if unwanted:
            self._first = self._now = self._looked(self._note(self._first, unwanted))

    def to(self, share: float) -> list[int]:
        """Drop what scores below `share` until nothing more does; return what stays."""
        stays = self._note(self._first, self._first.look.dropped(share)) & self._now.kept
        while stays != self._now.kept:
            self._now = self._looked(sorted(stays))
            stays = self._note(self._now, self._now.look.dropped(share))
        return sorted(stays)

    def verdicts(self) -> list[Verdict]:
        """Return a verdict for each message of the whole conversation."""
        stand = self._first.look.stand()
        found = dict(self._dropped)
        for run, (fate, reason, score) in zip(self._first.runs, stand, strict=True):
            for index in run:
                why = "pinned" if index in self._pinned else reason
                found.setdefault(index, Verdict(index, fate, why, score))
        return [found[index] for index in range(len(self._messages))]

    def _looked(self, stays: Sequence[int]) -> _Seen:
        runs = joins(self._messages, stays)
        messages = [
            self._messages[run[0]] if len(run) == 1 else joined([self._messages[i] for i in run])
            for run in runs
        ]
        return _Seen(runs, frozenset(stays), Look(messages, self._memory, self._deadline))

    def _note(self, seen: _Seen, gone: dict[int, str]) -> frozenset[int]:
        """Write down why the exchanges `gone` are dropped; return what is left without them."""
        lost = set()
        exchanges = seen.look.conversation.exchanges
        for number, reason in gone.items():
            for offset, place in enumerate(exchanges[number]):
                why = reason
                if number in seen.look.copies:
                    original = exchanges[seen.look.copies[number]][offset]
                    why = f"duplicate of {seen.runs[original][0]}"
                for index in seen.runs[place]:
                    lost.add(index)
                    score = seen.look.shares.get(number)
                    self._dropped.setdefault(index, Verdict(index, "dropped", why, score))
        return seen.kept - lost


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was looked at: the messages that are left, as the runs that they are joined to."""

    runs: list[list[int]]
    kept: frozenset[int]
    look: Look
