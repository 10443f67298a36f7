"""A bounded cache that drops the least recently used entry first; its keys are digests."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import xxhash

Value = TypeVar("Value")

# Unknown outside this process, so that nobody can prepare two texts with one digest.
_SEED = secrets.randbits(64)


def digest_of(raw: bytes) -> bytes:
    """Return a 128-bit digest that holds within this process."""
    return xxhash.xxh3_128_digest(raw, seed=_SEED)


class LRUCache(Generic[Value]):
    """Keeps values by digest until their costs add up to `size`; safe to use from any thread.

    A value that costs more than `largest`, an eighth of the whole, is not kept.
    """

    def __init__(self, size: int, *, largest: int | None = None) -> None:
        self.size = size
        self.largest = size // 8 if largest is None else largest
        self._held = 0
        self._values: OrderedDict[bytes, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, digest: bytes) -> Value | None:
        with self._lock:
            return self._get(digest)

    def get_or_make(self, digest: bytes, make: Callable[[], Value], *, cost: int) -> Value:
        """Return what is kept by a digest, made now if need be; raises what `make` does."""
        with self._lock:
            value = self._get(digest)
        if value is None:
            value = make()
            self.put(digest, value, cost=cost)
        return value

    def get_many(self, digests: Iterable[bytes]) -> list[Value | None]:
        """Return the value of each digest, in their order."""
        with self._lock:
            return [self._get(digest) for digest in digests]

    def put(self, digest: bytes, value: Value, *, cost: int) -> None:
        """Keep `value`, in place of what was kept by its digest."""
        if cost > self.largest:
            return
        with self._lock:
            _, replaced = self._values.pop(digest, (None, 0))
            self._values[digest] = (value, cost)
            self._held += cost - replaced
            while self._held > self.size:
                _, (_, freed) = self._values.popitem(last=False)
                self._held -= freed

    def _get(self, digest: bytes) -> Value | None:
        entry = self._values.get(digest)
        if entry is None:
            return None
        self._values.move_to_end(digest)
        return entry[0]
