"""Conversations by numbers, and a provider that bills by the cache rules it is given."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from proxy.cost import message_set
from proxy.cost.policy import PRESETS, Decision, decide
from proxy.cost.rates import Rates
from proxy.cost.state import State
from proxy.cost.turn import Turn

RATES = {
    "none": Rates(read=1.0, lifetime=0),
    "half": Rates(read=0.5),
    "tenth": Rates(),
    "written": Rates(read=0.1, write=1.25),
    "free": Rates(read=0.05, write=1.25),
    "whole": Rates(step=1, min_prefix=64, exact_match_only=True),
    "long": Rates(long_above=4000, long_factor=2.0),
}


def turn(tokens: list[int], *, need: set[int] = frozenset(), keep: set[int] = frozenset()) -> Turn:
    """Return the turn of a plain conversation, users first, whose last message is the question."""
    last = len(tokens) - 1
    always = {i for i in (last - 2, last - 1, last) if i >= 0}
    return Turn(
        hashes=array("Q", range(1, last + 2)),
        tokens=tokens,
        need=message_set.of(always | set(need)),
        keep=message_set.of(always | set(need) | set(keep)),
        starts=list(range(0, last + 1, 2)),
        everything=message_set.below(last + 1),
    )


def growing(seed: int, turns: int = 30) -> Iterator[Turn]:
    """Yield the turns of a random conversation whose needs are random too."""
    chance = random.Random(seed)
    tokens = [chance.randint(4, 60)]
    wanted = chance.choice((0.0, 0.05, 0.3))
    for _ in range(turns):
        past = range(0, len(tokens) - 1, 2)
        need = {i for i in past if chance.random() < wanted}
        keep = {i for i in past if chance.random() < 0.2}
        yield turn(tokens.copy(), need=_exchanges(need), keep=_exchanges(keep))
        tokens += [chance.randint(4, 600), chance.randint(4, 60)]


def _exchanges(starts: set[int]) -> set[int]:
    return starts | {start + 1 for start in starts}


@dataclass
class Bill:
    """A provider's cache, written without the code that is tested, and what it has asked for."""

    rates: Rates
    paid: float = 0.0
    _seen: list[tuple[list[int], float]] = field(default_factory=list)

    def charge(self, request: list[int], tokens: list[int], now: float) -> float:
        """Bill a request, given as its messages' hashes, and cache it."""
        cached = 0
        for seen, at in self._seen:
            if now - at > self.rates.lifetime:
                continue
            same = 0
            for old, new in zip(seen, request, strict=False):
                if old != new:
                    break
                same += 1
            if not self.rates.exact_match_only or same == len(seen):
                cached = max(cached, sum(tokens[:same]))
        hit = cached // self.rates.step * self.rates.step if cached >= self.rates.min_prefix else 0
        total = sum(tokens)
        is_written = self.rates.lifetime and total >= self.rates.min_prefix
        cost = hit * self.rates.read + (total - hit) * (self.rates.write if is_written else 1)
        if self.rates.long_above and total > self.rates.long_above:
            cost *= self.rates.long_factor
        if self.rates.lifetime:
            self._seen.append((request, now))
        self.paid += cost
        return cost


def replayed(
    turns: Iterator[Turn], rates: Rates, preset: str = "balanced", *, pause: float = 1.0
) -> Iterator[tuple[Turn, Decision, State]]:
    """Yield each turn with what was decided."""
    state: State | None = None
    for number, each in enumerate(turns):
        decision, state = decide(each, state, rates, number * pause, PRESETS[preset])
        yield each, decision, state


def without_history(each: Turn, place: int) -> Turn:
    """Return the turn with another text at `place`."""
    hashes = array("Q", each.hashes)
    hashes[place] += 1_000_000
    return replace(each, hashes=hashes)
