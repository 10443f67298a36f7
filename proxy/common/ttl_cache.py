"""What was read a moment ago, so that who asks again soon asks no database.

A cache has a generation, which grows whenever something in it is invalidated: a value that was read
before an invalidation is not stored after it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from proxy.common.runtime.threads import on_database_thread

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class TTLCache(Generic[Key, Value]):
    """At most so many values by key, each for some seconds; safe to use from any thread.

    Who reads a value notes the `generation` first and hands it to `put` along with the value.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._lock = Lock()
        self.generation = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """Return the value, if it is there and its time is not over."""
        entry = self._entries.get(key)
        return entry[1] if entry and time.monotonic() < entry[0] else None

    def put(self, key: Key, value: Value, *, seconds: float, generation: int) -> None:
        """Keep `value`, unless something was invalidated since that generation."""
        until = time.monotonic() + seconds
        with self._lock:
            if generation != self.generation:
                return
            self._entries[key] = until, value
            self._entries.move_to_end(key)
            if len(self._entries) > self._most:
                # The oldest, whose time is over soonest.
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Invalidate everything."""
        self.discard(lambda value: True)

    def discard(self, is_meant: Callable[[Value], bool]) -> None:
        """Invalidate the values that are meant, and whatever is being read just now."""
        with self._lock:
            self.generation += 1
            for key, (_, value) in list(self._entries.items()):
                if is_meant(value):
                    del self._entries[key]


class CachedValue(Generic[Value]):
    """One value, read again when it is older than `seconds` says; safe to use from any thread.

    Where it is too old one caller reads it, and others go on with the old one meanwhile. Reading
    may fail: then the old value serves for as long again, but for the caller who has the failure.
    """

    def __init__(self, read: Callable[[], Value], *, seconds: Callable[[], float]) -> None:
        self._read = read
        self._seconds = seconds
        self._value: Value | None = None
        self._read_at = float("-inf")
        self._generation = 0
        self._read_on_thread = on_database_thread(self._renew, at_most=1)

    def fresh(self) -> Value | None:
        """Return the value, if it was read a moment ago or is being read again."""
        return self._value if time.monotonic() - self._read_at < self._seconds() else None

    def last(self) -> Value | None:
        """Return the value however old it is, unless it was invalidated."""
        return self._value

    def get(self) -> Value:
        """Return the value, read here if it must be; raises what reading raises."""
        value = self.fresh()
        return self._renew(self._claim()) if value is None else value

    async def aget(self) -> Value:
        """Return the same on an event loop, read on a thread of the database."""
        value = self.fresh()
        return await self._read_on_thread(self._claim()) if value is None else value

    def invalidate(self) -> None:
        """Read the value again before it is next used."""
        self._value = None
        self._generation += 1

    def _claim(self) -> int:
        self._read_at = time.monotonic()
        return self._generation

    def _renew(self, generation: int) -> Value:
        value = self._read()
        if generation == self._generation:
            self._value = value
        return value
