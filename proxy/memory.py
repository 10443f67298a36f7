"""A memory of bounded size for what was worked out before, by digest."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

import xxhash

Value = TypeVar("Value")

# Unknown outside this process, so that nobody can prepare two texts with one digest.
_SEED = secrets.randbits(64)


def digest_of(raw: bytes) -> bytes:
    """Return a 128-bit digest that holds within this process."""
    return xxhash.xxh3_128_digest(raw, seed=_SEED)


class BoundedMemory(Generic[Value]):
    """Remembers values by digest until their cost adds up to `size`; then the oldest go.

    Safe to use from several threads.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._held = 0
        self._values: OrderedDict[bytes, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Value | None:
        with self._lock:
            found = self._values.get(digest)
            if found is None:
                return None
            self._values.move_to_end(digest)
            return found[0]

    def put(self, digest: bytes, value: Value, *, cost: int) -> None:
        """Remember `value`; one that costs more than an eighth of the whole is not worth it."""
        if cost > self.size // 8:
            return
        with self._lock:
            _, replaced = self._values.pop(digest, (None, 0))
            self._values[digest] = (value, cost)
            self._held += cost - replaced
            while self._held > self.size:
                _, (_, freed) = self._values.popitem(last=False)
                self._held -= freed
