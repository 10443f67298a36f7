"""What answers have taught of a provider's prompt cache, by host and model.

Whoever learns is the writer of usage rows, after an answer has gone. A call that passes the cost
gate reads the estimate together with its conversation; that a provider without a tariff has a cache
at all is known to each process by itself.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Final

from proxy.cost.rates import Rates

logger = logging.getLogger("proxy.filtering.cache_estimates")

MIN_ANSWERS: Final = 3
"""So many answers must have shown cached tokens, before a provider without a tariff has a cache."""

MIN_CACHED_TOKENS: Final = 64
"""The cached tokens that count: no provider's cache has smaller pieces."""

MAX_MISSES: Final = 4
"""After so many answers in a row without one of the tokens expected, there is no cache."""

WINDOW: Final = 20
"""Over so many answers the cached tokens are held against those expected."""

MIN_HIT_RATIO: Final = 0.5
"""The share of them below which everything is sent until it is better."""

SHORTEST, LONGEST = 60.0, 3600.0
_MAX_OBSERVED: Final = 10_000


@dataclass(frozen=True, slots=True)
class CacheEstimate:
    """What answers have shown of a provider's cache, beside its tariff."""

    lifetime: float | None = None
    """Seconds, where answers have shown another than the tariff says."""

    misses: int = 0
    """Answers in a row with nothing of what was expected."""

    late: tuple[float, ...] = ()
    """How old the requests were that those answers should have found cached."""

    recent: tuple[tuple[int, int], ...] = ()
    """(expected, found) of the latest answers for which something was expected."""

    @property
    def is_unreliable(self) -> bool:
        """Whether so little was found that the gate's estimates are worth nothing."""
        expected = sum(e for e, _ in self.recent)
        return (
            len(self.recent) == WINDOW and sum(f for _, f in self.recent) < MIN_HIT_RATIO * expected
        )

    def adjust(self, rates: Rates) -> Rates:
        """Return the rates with what answers have shown of the provider's cache."""
        if not rates.has_cache:
            return rates
        if self.misses >= MAX_MISSES:
            return replace(rates, lifetime=0.0)
        return rates if self.lifetime is None else replace(rates, lifetime=self.lifetime)

    def after(self, expected: int, cached: int, age: float, rates: Rates) -> CacheEstimate:
        """Return the estimate after an answer that relied on a request of this `age`."""
        recent = self.recent
        if expected:
            recent = (*recent, (expected, min(cached, expected)))[-WINDOW:]
        if cached:
            is_longer = age > (self.lifetime or rates.lifetime)
            lifetime = min(age, LONGEST) if is_longer else self.lifetime
            return CacheEstimate(lifetime, recent=recent)
        if expected < 2 * rates.min_prefix:
            return replace(self, recent=recent)
        late = (*self.late, age)[-2:] if age > SHORTEST else ()
        lifetime = min(late) if len(late) == 2 else self.lifetime
        return CacheEstimate(lifetime, self.misses + 1, late, recent)

    @classmethod
    def of(cls, plain: Sequence[Any]) -> CacheEstimate:
        """Return the estimate that these plain values tell."""
        lifetime, misses, late, recent = plain
        return cls(lifetime, misses, tuple(late), tuple((e, f) for e, f in recent))

    def plain(self) -> tuple[Any, ...]:
        """Return the estimate as plain values."""
        return astuple(self)


_observed: OrderedDict[tuple[str, str], int] = OrderedDict()
_hosts: set[str] = set()


def has_observed_cache(host: str, model: str) -> bool:
    """Tell whether answers of a provider without a tariff have shown a prompt cache."""
    return _observed.get((host, model), 0) >= MIN_ANSWERS


def may_have_cache(host: str) -> bool:
    """Tell the same of any model of that host; sometimes wrongly yes."""
    return host in _hosts


def record_hit(host: str, model: str, cached: int) -> None:
    """Count an answer whose prompt was read from a cache."""
    if cached >= MIN_CACHED_TOKENS:
        _observed[host, model] = _observed.get((host, model), 0) + 1
        _observed.move_to_end((host, model))
        _hosts.add(host)
        if len(_observed) > _MAX_OBSERVED:
            _observed.popitem(last=False)
            _hosts.intersection_update(host for host, _ in _observed)


def forget() -> None:
    """Forget which providers have shown a cache."""
    _observed.clear()
    _hosts.clear()
