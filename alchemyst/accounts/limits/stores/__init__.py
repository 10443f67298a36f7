"""Where limits are counted: in this process, in Redis, or in the database.

A counter has a count for a window of the clock, and holds: what requests under way have taken and
may release. One call takes from several counters, all or nothing. With Redis all processes count
there; without it on PostgreSQL, in the database; on SQLite, where one process serves, in that
process (what becomes of it at its end: `persistence`). When Redis is away the next of these counts,
from nothing.
"""

from __future__ import annotations

from django.conf import settings

from alchemyst.accounts.limits.stores.database import DatabaseCounters
from alchemyst.accounts.limits.stores.memory import MemoryCounters
from alchemyst.accounts.limits.stores.redis import RedisCounters
from alchemyst.accounts.limits.stores.types import (
    HOLD_SECONDS,
    Acquire,
    Counters,
    Refusal,
    Release,
)

__all__ = [
    "HOLD_SECONDS",
    "Acquire",
    "Counters",
    "DatabaseCounters",
    "MemoryCounters",
    "RedisCounters",
    "Refusal",
    "Release",
    "database_counters",
    "memory_counters",
    "without_redis",
]

memory_counters = MemoryCounters()
database_counters = DatabaseCounters()


def without_redis() -> MemoryCounters | DatabaseCounters:
    """Return where to count when Redis is not there."""
    is_sqlite = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    return memory_counters if is_sqlite else database_counters
