"""What matters at several thresholds, from one assessment: to choose among whole requests.

Unlike a mode, a width assesses once, drops however little there is to drop, and joins nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from .assessment import Assessment
from .filter import Verdict
from .messages import Message
from .text.features import memory


@dataclass(frozen=True, slots=True)
class Widths:
    """A conversation as relevance sees it, in places of the whole."""

    kept: list[frozenset[int]]
    """What stays at each of the thresholds asked for."""

    fixed: frozenset[int]
    """What stays whatever it scores, by the rules that hold in every mode."""

    copies: frozenset[int]
    """Exchanges that repeat others."""

    excluded: frozenset[int]
    exchanges: list[tuple[int, ...]]
    """The past exchanges: each stays or goes as a whole."""

    query: int | None
    """Where the current turn begins."""

    verdicts: list[Verdict]
    """As the first of the thresholds has it."""

    confidence: float
    """How sure it is that nothing needed goes at the first of them."""

    meaning: str
    """By what texts were compared: `vectors`, `words` alone; empty where nothing was."""


def at_widths(
    messages: Sequence[Message],
    thresholds: Sequence[float],
    *,
    most_risk: float = 1.0,
    pinned: Collection[int] = (),
    excluded: Collection[int] = (),
    deadline: float | None = None,
) -> Widths:
    """Return what stays at each of `thresholds`; raises `TooSlow` after `deadline`.

    Where the first of them would risk more than `most_risk`, it counts as the highest that risks
    less; the others, by which whoever pays chooses, count as they are.
    """
    marked = list(messages)
    for place in pinned:
        marked[place] = replace(marked[place], is_protected=True)
    assessment = Assessment(marked, memory(), deadline)
    gone = assessment.excluded(frozenset(excluded)) if excluded else {}
    without = sorted(i for number in gone for i in assessment.conversation.exchanges[number])
    places = list(range(len(marked)))
    if without:
        places = sorted(set(places).difference(without))
        assessment = Assessment([marked[i] for i in places], memory(), deadline)
    return _Step(assessment, places, without, frozenset(pinned)).widths(thresholds, most_risk)


class _Step:
    """An assessment of what was not excluded, in places of the whole conversation."""

    def __init__(
        self, assessment: Assessment, places: list[int], without: list[int], pinned: frozenset[int]
    ) -> None:
        self.assessment, self.places, self.without, self.pinned = (
            assessment,
            places,
            without,
            pinned,
        )
        self.exchanges = [
            tuple(places[i] for i in exchange) for exchange in assessment.conversation.exchanges
        ]

    def widths(self, thresholds: Sequence[float], most_risk: float) -> Widths:
        assessment, everything = self.assessment, frozenset(self.places)
        copies = self._in(assessment.copies)
        droppable = self._in(n for n in range(len(self.exchanges)) if n not in assessment.needed)
        query = assessment.conversation.query
        levels = [assessment.level(thresholds[0], most_risk), *thresholds[1:]]
        return Widths(
            kept=[everything - copies - self._in(assessment.under(level)) for level in levels],
            fixed=everything - droppable,
            copies=copies,
            excluded=frozenset(self.without),
            exchanges=self.exchanges,
            query=None if query is None else self.places[query],
            verdicts=self._verdicts(thresholds[0], levels[0]),
            confidence=assessment.confidence(levels[0]),
            meaning=assessment.meaning,
        )

    def _in(self, numbers: Iterable[int]) -> frozenset[int]:
        return frozenset(i for number in numbers for i in self.exchanges[number])

    def _verdicts(self, threshold: float, level: float) -> list[Verdict]:
        verdicts = {i: Verdict(i, "dropped", "excluded") for i in self.without}
        for place, (fate, reason, score) in zip(
            self.places, self.assessment.statuses(threshold), strict=True
        ):
            why = "pinned" if place in self.pinned else reason
            verdicts[place] = Verdict(place, fate, why, score)
        for number in self.assessment.under(level):
            for place in self.exchanges[number]:
                score = self.assessment.shares[number]
                why = self.assessment.worded("below threshold", number)
                verdicts[place] = Verdict(place, "dropped", why, score)
        for number, original in self.assessment.copies.items():
            pairs = zip(self.exchanges[number], self.exchanges[original], strict=True)
            for place, first in pairs:
                verdicts[place] = Verdict(place, "dropped", f"duplicate of {first}")
        return [verdicts[place] for place in sorted(verdicts)]
