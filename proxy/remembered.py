"""Which stored providers this process read a moment ago, so that a warm request asks no database.

They are remembered, key and all, for `settings.AUTH_MEMORY_SECONDS`, in memory alone. A change of
any provider is obeyed at once in this process; another process goes on with what it has read for
AUTH_MEMORY_SECONDS at most.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from django.db import transaction

from proxy.options import options
from proxy.target import Base

MOST_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored provider, its key decrypted."""

    base: Base
    dialect: str
    key: str = field(repr=False)
    cost: str = ""


class Memory:
    """Who means what by a name; of bounded size, and safe to use from any thread."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: dict[tuple[int, str], tuple[float, Stored]] = {}
        # Grows with every `forget`: what was read from the database before one is out of date.
        self.age = 0

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, user_id: int, name: str) -> Stored | None:
        """Return what that user meant by `name`, if that is remembered still."""
        found = self._known.get((user_id, name))
        return found[1] if found and time.monotonic() < found[0] else None

    def remember(self, user_id: int, name: str, meant: Stored, *, age: int) -> None:
        """Keep `meant`, unless something was forgotten since the memory had this `age`."""
        known = self._known
        if age != self.age:
            return
        if len(known) >= self._most:
            known.clear()
        known[user_id, name] = time.monotonic() + options().memory_seconds, meant

    def forget(self) -> None:
        """Forget everything."""
        self.age += 1
        # Not cleared but replaced: whoever is about to remember does it where nobody looks.
        self._known = {}


memory = Memory()


def forget() -> None:
    """Forget every provider, now and again once the change is committed.

    In between, another thread may still read the old state and remember it.
    """
    memory.forget()
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(memory.forget)
