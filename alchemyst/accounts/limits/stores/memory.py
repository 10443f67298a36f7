"""Counters of this process alone."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

from alchemyst.accounts.limits.stores.types import (
    Acquire,
    Refusal,
    Release,
    is_over,
    refusal,
)
from alchemyst.accounts.models import LimitCount

MOST_COUNTERS = 50_000


@dataclass(slots=True)
class _Counter:
    window: int = 0
    count: int = 0
    holds: dict[str, int] = field(default_factory=dict)
    held: int = 0

    def move_to(self, window: int) -> None:
        if is_over(self.window, window):
            self.window, self.count = window, 0

    def hold(self, holder: str, amount: int) -> None:
        self.release(holder)
        self.holds[holder] = amount
        self.held += amount

    def release(self, holder: str) -> None:
        self.held -= self.holds.pop(holder, 0)


class MemoryCounters:
    """Counts of this process alone; safe to use from any thread, and free of waiting."""

    def __init__(self, most: int = MOST_COUNTERS) -> None:
        self._most = most
        self._counters: OrderedDict[str, _Counter] = OrderedDict()
        self._changed: set[str] = set()
        self._lock = Lock()

    async def aacquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None:
        return self.acquire(holder, acquires)

    def acquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None:
        now = time.time()
        with self._lock:
            counters = [self._counter(each.key, each.seconds, now) for each in acquires]
            for index, (each, counter) in enumerate(zip(acquires, counters, strict=True)):
                if refused := refusal(index, each, counter.count, counter.held):
                    return refused
            for each, counter in zip(acquires, counters, strict=True):
                if each.add:
                    counter.count += each.add
                    self._changed.add(each.key)
                if each.hold:
                    counter.hold(holder, each.hold)
        return None

    async def arelease(self, holder: str, releases: list[Release]) -> None:
        self.release(holder, releases)

    def release(self, holder: str, releases: list[Release]) -> None:
        now = time.time()
        with self._lock:
            for each in releases:
                counter = self._counter(each.key, each.seconds, now)
                if each.add:
                    counter.count += each.add
                    self._changed.add(each.key)
                counter.release(holder)

    async def arenew(self, holders: list[str]) -> None:
        """A process that is gone has taken its holds along."""

    def renew(self, holders: list[str]) -> None:
        """The same."""

    def reset(self, releases: list[Release]) -> None:
        with self._lock:
            for each in releases:
                if counter := self._counters.get(each.key):
                    counter.count = 0
                    self._changed.add(each.key)

    def changes(self) -> list[LimitCount]:
        """Return what has been counted since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
            counters = [(key, self._counters[key]) for key in changed if key in self._counters]
            return [
                LimitCount(key=key, window=counter.window, count=counter.count)
                for key, counter in counters
            ]

    def resume(self, counts: Iterable[LimitCount]) -> None:
        """Go on with counts from before; of windows that are over they end by themselves."""
        with self._lock:
            for each in counts:
                self._counters[each.key] = _Counter(each.window, each.count)

    def clear(self) -> None:
        with self._lock:
            self._counters.clear()
            self._changed.clear()

    def _counter(self, key: str, seconds: int, now: float) -> _Counter:
        """Return the counter of that key, made if there is none, in the window of now."""
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _Counter()
            if len(self._counters) > self._most:
                self._drop_one()
        else:
            self._counters.move_to_end(key)
        counter.move_to(int(now // seconds))
        return counter

    def _drop_one(self) -> None:
        """Drop the least recently used counter of which nothing is held."""
        for key, counter in self._counters.items():
            if not counter.holds:
                del self._counters[key]
                return
