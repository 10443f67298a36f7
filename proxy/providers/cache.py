"""Which stored providers this process read a moment ago, so that a warm request asks no database.

They are held, key and all, for `settings.AUTH_MEMORY_SECONDS`, in memory alone. A change of
any provider is obeyed at once in this process; another process goes on with what it has read for
AUTH_MEMORY_SECONDS at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from proxy.common.ttl_cache import TTLCache
from proxy.upstream.target import Base, base_for

MOST_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class StoredProvider:
    """A stored provider, its key decrypted."""

    base: Base
    dialect: str
    """What chats speak to it; whoever calls through the proxy may speak another."""

    key: str = field(repr=False)
    cost: str = ""

    def base_for(self, endpoint: str) -> Base:
        """Return the base URL that an endpoint, in any dialect, is appended to."""
        return base_for(self.base, self.dialect, endpoint)


memory: TTLCache[tuple[int, str], StoredProvider] = TTLCache(MOST_NAMES)
"""What users mean by a name."""


def on_provider_changed(**kwargs: Any) -> None:
    """Forget every provider, now and again once the change is committed.

    In between, another thread may still read the old state and cache it.
    """
    memory.clear()
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(memory.clear)
