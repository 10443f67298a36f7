"""What one request takes of the limits that staff set, and releases when it has ended.

When it is admitted it takes a request from each counter of its minute and day, and one of the
requests at once; once it is known what is sent, it holds so many tokens; in the end it releases its
holds, and the tokens that were used are counted. Where the limits are counted: `stores`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import Protocol, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from django.db import DatabaseError
from redis import RedisError
from rest_framework.exceptions import APIException, Throttled

from alchemyst.accounts.limits import rate, stores
from alchemyst.accounts.limits.stores import (
    HOLD_SECONDS,
    Acquire,
    Counters,
    RedisCounters,
    Refusal,
    Release,
)
from alchemyst.accounts.models import Limit
from alchemyst.accounts.models.limit import KINDS
from alchemyst.accounts.models.quota_limit import QuotaLimit

logger = logging.getLogger("alchemyst.accounts")

MINUTE, DAY = 60, 86_400
# For the kinds whose counters nothing is ever added to, any window would do.
SECONDS = {
    "requests_per_minute": MINUTE,
    "requests_per_day": DAY,
    "tokens_per_day": DAY,
    "streams": DAY,
}
# Calls of the proxy's own path have reserved for themselves; their ids begin so.
OF_THE_PROXY = "req_"
# A client that has just got the end of an answer may come back before its hold is released.
GRACE_SECONDS = 0.1
# When a hold will be released nobody knows; an answer of usual length has ended by then.
HELD_RETRY_SECONDS = 2

Result = TypeVar("Result")

_PROCESS = secrets.token_hex(8)
_numbers = itertools.count(1)


class TooFast(Throttled):
    """Waiting helps: the minute ends, or another request does."""

    default_code = "rate_limit_exceeded"

    def __init__(self, wait: float | None, message: str) -> None:
        APIException.__init__(self, message)
        self.wait = wait


class QuotaExhausted(TooFast):
    """The day's share is used up."""

    default_code = "insufficient_quota"


@lru_cache(maxsize=1024)
def _admission_requests(limits: tuple[QuotaLimit, ...]) -> tuple[list[QuotaLimit], list[Acquire]]:
    """Return what a request takes before its body is read, and of which limits."""
    admitting = [limit for limit in limits if limit.kind != "tokens_per_day"]
    acquires = [
        Acquire(
            limit.key,
            SECONDS[limit.kind],
            limit.most,
            *((0, 1) if limit.kind == "streams" else (1,)),
        )
        for limit in admitting
    ]
    return admitting, acquires


@lru_cache(maxsize=1024)
def _releases(limits: tuple[QuotaLimit, ...], used: int) -> list[Release]:
    """Return what a request releases at its end."""
    return [
        Release(limit.key, SECONDS[limit.kind], used if limit.kind == "tokens_per_day" else 0)
        for limit in limits
        if limit.kind in ("tokens_per_day", "streams")
    ]


@contextmanager
def _ignore_store_errors() -> Iterator[None]:
    """Log, and do not raise, that a store could not record a release."""
    try:
        yield
    except (RedisError, DatabaseError) as error:
        logger.warning("A limit's hold stays for a while: %s", type(error).__name__)


class QuotaReservation:
    """One request's share of the limits that it meets. Release what was acquired."""

    def __init__(self, limits: tuple[QuotaLimit, ...]) -> None:
        self._limits = limits
        self._of_tokens = [limit for limit in limits if limit.kind == "tokens_per_day"]
        self._holder = f"{_PROCESS}{next(_numbers):x}"
        self._counters: Counters | None = None
        self._used = 0

    @property
    def counts_tokens(self) -> bool:
        """Whether any limit asks how many tokens this request takes."""
        return bool(self._of_tokens)

    async def acquire(self) -> None:
        """Take a request; raises TooFast or QuotaExhausted, and takes nothing then."""
        await self._acquire(*_admission_requests(self._limits))

    async def reserve(self, tokens: int) -> None:
        """Hold so many tokens until the end; raises TooFast or QuotaExhausted."""
        hold = max(tokens, 1)
        acquires = [Acquire(limit.key, DAY, limit.most, hold=hold) for limit in self._of_tokens]
        await self._acquire(self._of_tokens, acquires)

    def settle(self, tokens: int) -> None:
        """Say how many tokens the request took in the end."""
        self._used = tokens

    async def release(self) -> None:
        """Release what was held, count what was used. Never raises."""
        if self._counters is None:
            return
        _holding.discard(self)
        releases = _releases(self._limits, self._used)
        if self._counters is stores.memory_counters:
            await self._release(self._counters, releases)
        elif releases:
            # Where the request is cancelled, the release goes on.
            task = asyncio.create_task(self._release(self._counters, releases))
            _releasing.add(task)
            task.add_done_callback(_releasing.discard)
            await asyncio.shield(task)

    async def _release(self, store: Counters, releases: list[Release]) -> None:
        with _ignore_store_errors():
            await store.arelease(self._holder, releases)

    async def _acquire(self, limits: Sequence[QuotaLimit], acquires: list[Acquire]) -> None:
        if not acquires:
            return
        refused = await self._try_acquire(acquires)
        if refused and refused.is_held:
            await asyncio.sleep(GRACE_SECONDS)
            refused = await self._try_acquire(acquires)
        if refused:
            raise _error(limits[refused.position], acquires[refused.position], refused)
        if self._counters is not stores.memory_counters and any(each.hold for each in acquires):
            _hold(self)

    async def _try_acquire(self, acquires: list[Acquire]) -> Refusal | None:
        """Ask Redis if it answers, and stay with the store that answered first."""
        if self._counters is None and (shared := rate.redis_store()):
            with suppress(RedisError):
                store = RedisCounters(shared)
                refused = await store.aacquire(self._holder, acquires)
                self._counters = store
                return refused
        if self._counters is None:
            self._counters = stores.without_redis()
        try:
            return await self._counters.aacquire(self._holder, acquires)
        except RedisError:
            # It answered when the request was admitted. What is held there ends by itself.
            self._counters = stores.without_redis()
            return await self._counters.aacquire(self._holder, acquires)


class ConcurrencyLease:
    """The hold of an answer that goes on by itself, whoever asked for it. It is released once.

    An object that is lost releases it too: at once in this process, elsewhere when it is no longer
    renewed.
    """

    def __init__(self, store: Counters | None = None, releases: Sequence[Release] = ()) -> None:
        self._store = store
        self._releases = list(releases)
        self.holder = f"{_PROCESS}{next(_numbers):x}"

    def release(self) -> None:
        """Release the hold. Never raises."""
        releases, self._releases = self._releases, []
        if self._store and releases:
            with _ignore_store_errors():
                self._store.release(self.holder, releases)

    async def arelease(self) -> None:
        """Do the same without blocking the loop."""
        releases, self._releases = self._releases, []
        if self._store and releases:
            with _ignore_store_errors():
                await self._store.arelease(self.holder, releases)

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
    admitting, acquires = _admission_requests(limits)
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
        raise _error(limits[refused.position], acquires[refused.position], refused)
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
        with suppress(RedisError, DatabaseError):
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
    store.release(_PROCESS, releases)


def _call_store(call: Callable[[Counters], Result]) -> Result:
    """Call Redis if it answers, else the store that counts without it."""
    if shared := rate.redis_store():
        with suppress(RedisError):
            return call(RedisCounters(shared))
    return call(stores.without_redis())


def _key(key_id: str) -> UUID | None:
    return UUID(key_id) if key_id else None


def _error(limit: QuotaLimit, acquire: Acquire, refused: Refusal) -> TooFast:
    whose = {"user": "Your", "group": "Your group's", "key": "This API key's"}
    name = f"{whose[limit.subject.partition(':')[0]]} limit of {limit.most:,} {KINDS[limit.kind]}"
    if refused.is_held:
        return TooFast(HELD_RETRY_SECONDS, f"{name} is taken by requests under way.")
    seconds = SECONDS[limit.kind]
    wait = seconds - time.time() % seconds
    if limit.kind == "requests_per_minute":
        return TooFast(wait, f"{name} is reached.")
    if limit.most < acquire.hold:
        # No day will have room for it.
        return QuotaExhausted(None, f"{name} is less than this request may take.")
    return QuotaExhausted(wait, f"{name} is used up.")


# Requests of this process that hold something in a shared store, to be renewed.
_holding: set[QuotaReservation] = set()
_releasing: set[asyncio.Task[None]] = set()
_renewing: asyncio.Task[None] | None = None


def _hold(reservation: QuotaReservation) -> None:
    global _renewing
    _holding.add(reservation)
    loop = asyncio.get_running_loop()
    if _renewing is None or _renewing.done() or _renewing.get_loop() is not loop:
        _renewing = loop.create_task(_renew())


async def _renew() -> None:
    task = asyncio.current_task()
    assert task is not None
    # A cancellation may come back from Redis's client as a fault of its own.
    while _holding and not task.cancelling():
        await asyncio.sleep(HOLD_SECONDS / 3)
        by_store: dict[Counters, list[str]] = {}
        for reservation in _holding:
            if reservation._counters is not None:
                by_store.setdefault(reservation._counters, []).append(reservation._holder)
        for store, holders in by_store.items():
            with suppress(RedisError, DatabaseError):
                await store.arenew(holders)


async def aclose() -> None:
    """Finish the releases under way, and end the task that renews."""
    global _renewing
    await asyncio.gather(*_releasing)
    renewing, _renewing = _renewing, None
    if renewing and renewing.get_loop() is asyncio.get_running_loop():
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
