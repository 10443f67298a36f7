"""The requests among which the cost gate chooses: all hold what the question needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from . import message_set
from .cache import Candidate, Sent
from .message_set import MessageSet
from .rates import Rates
from .turn import Turn

MOST_CUTS: Final = 64
"""At how many places a remembered request is tried to be cut, evenly spread."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be sent at a turn."""

    turn: Turn
    rates: Rates
    keep_latest: int
    """How many of the latest exchanges a cut leaves whatever they score."""

    def requests(
        self, last: Sent | None, alive: Sequence[Sent]
    ) -> Iterator[tuple[MessageSet, str]]:
        """Yield requests, with what they are beside those sent before.

        Everything; a fresh start, once as it is and once long enough to be cached; the last
        request and all since; those that are cached still; and each of these cut where an exchange
        begins.
        """
        turn, remainder = self.turn, self._remainder()
        yield turn.everything, "full"
        yield remainder, "fresh"
        yield self._grown(remainder), "fresh"
        if last:
            yield turn.continued(last) | turn.need, "recall"
        for each in reversed(alive):
            yield turn.completed(each) | turn.need, "back"
        for each in reversed(alive):
            for start in self._cuts(each, remainder):
                yield turn.completed(each) & message_set.below(start) | remainder, "cut"

    def with_moved(self, last: Sent) -> Candidate | None:
        """Return the last request gone on with, what the question needs besides right before it.

        None where nothing is missing, where not all of it may be moved, or where something newer
        that is like the question would come to stand before something older.
        """
        turn = self.turn
        here = turn.continued(last)
        missing = turn.need & ~here
        if not missing or missing & ~turn.movable or turn.tied(here) != here:
            return None
        newer = here & turn.on_topic & ~message_set.below(message_set.first(missing))
        messages = here | missing
        return None if newer or messages == turn.everything else Candidate(messages, missing)

    def _cuts(self, sent: Sent, remainder: MessageSet) -> list[int]:
        """Return where a request is tried to be cut.

        Behind the first message that it lacks, nothing of it would be read from the cache.
        """
        missing = remainder & ~sent.messages
        end = message_set.first(missing) if missing else len(self.turn.tokens)
        cuts = [start for start in self.turn.starts if start <= end]
        return cuts[:: 1 + len(cuts) // MOST_CUTS]

    def _remainder(self) -> MessageSet:
        """Return what a cut leaves: what the question needs or may need, and what was said last."""
        turn = self.turn
        start = turn.starts[-1 - self.keep_latest :][0] if turn.starts else 0
        latest = turn.everything & ~message_set.below(start) & ~turn.copies
        return turn.need | turn.keep | latest

    def _grown(self, remainder: MessageSet) -> MessageSet:
        """Return `remainder` with older messages, the newest first, until it is long enough.

        A provider caches no shorter one.
        """
        turn, rates = self.turn, self.rates
        if not rates.has_cache:
            return remainder
        total = turn.front + turn.size(remainder)
        for start, end in zip(turn.starts[-2::-1], turn.starts[:0:-1], strict=True):
            if total >= rates.min_prefix + rates.step:
                break
            exchange = (
                turn.everything & message_set.below(end) & ~message_set.below(start) & ~turn.copies
            )
            total += turn.size(exchange & ~remainder)
            remainder |= exchange
        return remainder
