"""Vectors that are known: in this process's memory, and in the database for all and for later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from django.contrib.auth import get_user_model

from proxy.common.lru import LRUCache
from proxy.common.runtime.batch_writer import BatchWriter
from proxy.common.runtime.interval import Interval
from proxy.common.runtime.threads import on_database_thread
from proxy.meaning import weights
from proxy.models import TextVector
from proxy.models.text_vector import is_kept

MEMORY_BYTES: Final = 16 * 2**20
COST: Final = weights.WIDTH + 250
MOST_WAITING: Final = 20_000
EXPIRED_AT_ONCE: Final = 20_000


class KnownVector(NamedTuple):
    """The vector of an owner's text, by the digest of both."""

    digest: bytes
    owner_id: int
    vector: bytes


_memory: LRUCache[bytes] = LRUCache(size=MEMORY_BYTES)
expiry = Interval(seconds=3600)


def recall(digests: Iterable[bytes]) -> list[bytes | None]:
    """Return what this process remembers of these texts."""
    return _memory.get_many(digests)


def remember(known: KnownVector) -> None:
    """Remember a vector in this process; from any thread."""
    _memory.put(known.digest, known.vector, cost=COST)


def keep(known: KnownVector) -> None:
    """Remember a vector, and keep it for other processes; on an event loop."""
    remember(known)
    if known.owner_id and is_kept():
        queue.add(known)


async def fetch(owners: Mapping[bytes, int]) -> dict[bytes, bytes]:
    """Return what is kept of these texts, given with their owners, and remember it."""
    rows = await _rows(list(owners)) if is_kept() else {}
    today = datetime.now(UTC).date()
    for digest, (vector, used) in rows.items():
        known = KnownVector(digest, owners[digest], vector)
        # What is used again is kept for as long again.
        remember(known) if used == today else keep(known)
    return {digest: vector for digest, (vector, _) in rows.items()}


_rows = on_database_thread(lambda digests: TextVector.objects.by_digest(digests), at_most=1)


def forget() -> None:
    """Forget what this process remembers."""
    global _memory
    _memory = LRUCache(size=MEMORY_BYTES)


def _insert(batch: list[KnownVector]) -> None:
    owners = {known.owner_id for known in batch}
    existing = set(get_user_model().objects.filter(pk__in=owners).values_list("pk", flat=True))
    TextVector.objects.keep(known for known in batch if known.owner_id in existing)
    if expiry.is_due():
        TextVector.objects.expire(most=EXPIRED_AT_ONCE)


queue = BatchWriter("text vectors", _insert, at_once=500, most=MOST_WAITING)
"""Takes vectors on their way to the database."""
