"""What one request takes of the limits that staff set, and releases when it has ended.

When it is admitted it takes a request from each counter of its minute and day, and one of the
requests at once; once it is known what is sent, it holds so many tokens; in the end it releases its
holds, and the tokens that were used are counted. Where the limits are counted: `stores`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from redis import RedisError

from alchemyst.accounts.limits import rate, stores
from alchemyst.accounts.limits.admission import (
    DAY,
    SECONDS,
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
    Refusal,
    Release,
)
from alchemyst.accounts.models.quota_limit import QuotaLimit

# A client that has just got the end of an answer may come back before its hold is released.
GRACE_SECONDS = 0.1


@lru_cache(maxsize=1024)
def _releases(limits: tuple[QuotaLimit, ...], used: int) -> list[Release]:
    """Return what a request releases at its end."""
    return [
        Release(limit.key, SECONDS[limit.kind], used if limit.kind == "tokens_per_day" else 0)
        for limit in limits
        if limit.kind in ("tokens_per_day", "streams")
    ]


class QuotaReservation:
    """One request's share of the limits that it meets. Release what was acquired."""

    def __init__(self, limits: tuple[QuotaLimit, ...]) -> None:
        self._limits = limits
        self._of_tokens = [limit for limit in limits if limit.kind == "tokens_per_day"]
        self._holder = new_holder()
        self._counters: Counters | None = None
        self._used = 0

    @property
    def counts_tokens(self) -> bool:
        """Whether any limit asks how many tokens this request takes."""
        return bool(self._of_tokens)

    async def acquire(self) -> None:
        """Take a request; raises TooFast or QuotaExhausted, and takes nothing then."""
        await self._acquire(*admission_requests(self._limits))

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
        try:
            await store.arelease(self._holder, releases)
        except STORE_ERRORS as error:
            log_failed_release(error)

    async def _acquire(self, limits: Sequence[QuotaLimit], acquires: list[Acquire]) -> None:
        if not acquires:
            return
        refused = await self._try_acquire(acquires)
        if refused and refused.is_held:
            await asyncio.sleep(GRACE_SECONDS)
            refused = await self._try_acquire(acquires)
        if refused:
            raise refusal_error(limits[refused.position], acquires[refused.position], refused)
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
            with suppress(*STORE_ERRORS):
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
