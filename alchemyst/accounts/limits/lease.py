"""What an answer in a chat takes of the limits that staff set: a lease while it is written.

It goes on by itself, whoever asked for it. Its tokens are counted when its usage row is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from redis import RedisError

from alchemyst.accounts.limits import rate, stores
from alchemyst.accounts.limits.admission import (
    DAY,
    PROCESS,
    STORE_ERRORS,
    admission_requests,
    log_failed_release,
    new_holder,
    refusal_error,
)
from alchemyst.accounts.limits.stores import (
    HOLD_SECONDS,
    Acquire,
    Counters,
    RedisCounters,
    Release,
)
from alchemyst.accounts.models import Limit
from alchemyst.accounts.models.quota_limit import QuotaLimit

# Calls of the proxy's own path have reserved for themselves; their ids begin so.
OF_THE_PROXY = "req_"

Result = TypeVar("Result")


class ConcurrencyLease:
    """The hold of an answer that goes on by itself, whoever asked for it. It is released once.

    An object that is lost releases it too: at once in this process, elsewhere when it is no longer
    renewed.
    """

    def __init__(self, store: Counters | None = None, releases: Sequence[Release] = ()) -> None:
        self._store = store
        self._releases = list(releases)
        self.holder = new_holder()

    def release(self) -> None:
        """Release the hold. Never raises."""
        releases, self._releases = self._releases, []
        if self._store and releases:
            try:
                self._store.release(self.holder, releases)
            except STORE_ERRORS as error:
                log_failed_release(error)

    async def arelease(self) -> None:
        """Do the same without blocking the loop."""
        releases, self._releases = self._releases, []
        if self._store and releases:
            try:
                await self._store.arelease(self.holder, releases)
            except STORE_ERRORS as error:
                log_failed_release(error)

    def __del__(self) -> None:
        if self._store is stores.memory_counters:
            self.release()


def admit(user_id: int, key_id: str) -> ConcurrencyLease:
    """Take a request for an answer, if the day has tokens left for it.

    Raises TooFast or QuotaExhausted. Its tokens are charged when they are known (`charge`).
    """
    limits = Limit.objects.limits_on(user_id, _key(key_id))
    if not limits:
        return ConcurrencyLease()
    admitting, acquires = admission_requests(limits)
    of_tokens = [limit for limit in limits if limit.kind == "tokens_per_day"]
    # Of tokens one must be left, and none is taken yet.
    acquires = [*acquires, *(Acquire(limit.key, DAY, limit.most - 1) for limit in of_tokens)]
    lease = _call_store(lambda store: _lease(store, [*admitting, *of_tokens], acquires))
    _leases[lease.holder] = lease
    return lease


def _lease(store: Counters, limits: list[QuotaLimit], acquires: list[Acquire]) -> ConcurrencyLease:
    lease = ConcurrencyLease(
        store, [Release(each.key, each.seconds) for each in acquires if each.hold]
    )
    if refused := store.acquire(lease.holder, acquires):
        raise refusal_error(limits[refused.position], acquires[refused.position], refused)
    return lease


# The leases of answers that run here, to be renewed.
_leases: WeakValueDictionary[str, ConcurrencyLease] = WeakValueDictionary()
_renewed_at = 0.0


def renew_leases() -> None:
    """Renew the leases of answers that run here, if that is due."""
    global _renewed_at
    if time.monotonic() - _renewed_at < HOLD_SECONDS / 3:
        return
    _renewed_at = time.monotonic()
    by_store: dict[Counters, list[str]] = {}
    for ref in _leases.valuerefs():
        lease = ref()
        if lease and lease._store and lease._releases:
            by_store.setdefault(lease._store, []).append(lease.holder)
    for store, holders in by_store.items():
        with suppress(*STORE_ERRORS):
            store.renew(holders)


class Usage(Protocol):
    """What a call took, and of whom: of its usage row, what limits need."""

    @property
    def request_id(self) -> str: ...

    @property
    def caller_id(self) -> int | None: ...

    @property
    def key_id(self) -> str: ...

    @property
    def prompt_tokens(self) -> int | None: ...

    @property
    def completion_tokens(self) -> int | None: ...


def charge(rows: Iterable[Usage]) -> None:
    """Count the tokens of answers that were admitted, by their usage rows."""
    for row in rows:
        tokens = (row.prompt_tokens or 0) + (row.completion_tokens or 0)
        if row.request_id.startswith(OF_THE_PROXY) or not tokens or not row.caller_id:
            continue
        limits = Limit.objects.limits_on(row.caller_id, _key(row.key_id))
        releases = [
            Release(limit.key, DAY, tokens) for limit in limits if limit.kind == "tokens_per_day"
        ]
        if releases:
            _call_store(partial(_release, releases))


def _release(releases: list[Release], store: Counters) -> None:
    store.release(PROCESS, releases)


def _call_store(call: Callable[[Counters], Result]) -> Result:
    """Call Redis if it answers, else the store that counts without it."""
    if shared := rate.redis_store():
        with suppress(RedisError):
            return call(RedisCounters(shared))
    return call(stores.without_redis())


def _key(key_id: str) -> UUID | None:
    return UUID(key_id) if key_id else None
