"""What one request takes of the limits that staff set, and gives back when it has ended.

At the door it takes a request from each counter of its minute and day, and a place; once it is
known what is sent, it holds so many tokens; in the end the place is free and the tokens that were
used are counted. Where the limits are counted: `counters`.
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
# Calls of the proxy's own path have an allowance of their own; their ids begin so.
OF_THE_PROXY = "req_"
# Who has just got the end of an answer may come back before its place is free.
GRACE_SECONDS = 0.1
# When a place will be free nobody knows; an answer of usual length has ended by then.
HELD_RETRY_SECONDS = 2

Result = TypeVar("Result")

_PROCESS = secrets.token_hex(8)
_numbers = itertools.count(1)


class TooFast(Throttled):
    """Waiting helps: the minute ends, or another request does."""

    default_code = "rate_limit_exceeded"

    def __init__(self, wait: float | None, said: str) -> None:
        APIException.__init__(self, said)
        self.wait = wait


class QuotaExhausted(TooFast):
    """The day's share is used up."""

    default_code = "insufficient_quota"


@lru_cache(maxsize=1024)
def _admission_requests(caps: tuple[QuotaLimit, ...]) -> tuple[list[QuotaLimit], list[Acquire]]:
    """Return what a request takes before its body is read, and of which caps."""
    met = [cap for cap in caps if cap.kind != "tokens_per_day"]
    wants = [
        Acquire(cap.key, SECONDS[cap.kind], cap.most, *((0, 1) if cap.kind == "streams" else (1,)))
        for cap in met
    ]
    return met, wants


@lru_cache(maxsize=1024)
def _releases(caps: tuple[QuotaLimit, ...], used: int) -> list[Release]:
    """Return what a request gives back at its end."""
    return [
        Release(cap.key, SECONDS[cap.kind], used if cap.kind == "tokens_per_day" else 0)
        for cap in caps
        if cap.kind in ("tokens_per_day", "streams")
    ]


@contextmanager
def _ignore_store_errors() -> Iterator[None]:
    """Swallow that whoever counts could not be told that a place is free."""
    try:
        yield
    except (RedisError, DatabaseError) as error:
        logger.warning("A limit's place stays taken for a while: %s", type(error).__name__)


class QuotaReservation:
    """One request's share of the limits that it meets. Leave what was entered."""

    def __init__(self, caps: tuple[QuotaLimit, ...]) -> None:
        self._caps = caps
        self._of_tokens = [cap for cap in caps if cap.kind == "tokens_per_day"]
        self._holder = f"{_PROCESS}{next(_numbers):x}"
        self._counters: Counters | None = None
        self._used = 0

    @property
    def counts_tokens(self) -> bool:
        """Whether anybody wants to know how many tokens this request takes."""
        return bool(self._of_tokens)

    async def acquire(self) -> None:
        """Take a request and a place; raises TooFast or QuotaExhausted, and then took nothing."""
        await self._acquire(*_admission_requests(self._caps))

    async def reserve(self, tokens: int) -> None:
        """Hold so many tokens until the end; raises TooFast or QuotaExhausted."""
        hold = max(tokens, 1)
        wants = [Acquire(cap.key, DAY, cap.most, hold=hold) for cap in self._of_tokens]
        await self._acquire(self._of_tokens, wants)

    def settle(self, tokens: int) -> None:
        """Say how many tokens the request took in the end."""
        self._used = tokens

    async def release(self) -> None:
        """Free the place, give back what was held, count what was used. Never raises."""
        if self._counters is None:
            return
        _held.discard(self)
        gifts = _releases(self._caps, self._used)
        if self._counters is stores.memory_counters:
            await self._release(self._counters, gifts)
        elif gifts:
            # Whoever cancels the request does not keep the place along with it.
            giving = asyncio.create_task(self._release(self._counters, gifts))
            _releasing.add(giving)
            giving.add_done_callback(_releasing.discard)
            await asyncio.shield(giving)

    async def _release(self, store: Counters, gifts: list[Release]) -> None:
        with _ignore_store_errors():
            await store.arelease(self._holder, gifts)

    async def _acquire(self, caps: Sequence[QuotaLimit], wants: list[Acquire]) -> None:
        if not wants:
            return
        refused = await self._requests(wants)
        if refused and refused.is_held:
            await asyncio.sleep(GRACE_SECONDS)
            refused = await self._requests(wants)
        if refused:
            raise _error(caps[refused.place], wants[refused.place], refused)
        if self._counters is not stores.memory_counters and any(want.hold for want in wants):
            _hold(self)

    async def _requests(self, wants: list[Acquire]) -> Refusal | None:
        """Ask Redis if it answers, and stay with whoever answered first."""
        if self._counters is None and (shared := rate.redis_store()):
            with suppress(RedisError):
                store = RedisCounters(shared)
                refused = await store.aacquire(self._holder, wants)
                self._counters = store
                return refused
        if self._counters is None:
            self._counters = stores.without_redis()
        try:
            return await self._counters.aacquire(self._holder, wants)
        except RedisError:
            # It answered at the door. What is held there ends by itself.
            self._counters = stores.without_redis()
            return await self._counters.aacquire(self._holder, wants)


class ConcurrencyLease:
    """The place of an answer that goes on by itself, whoever asked for it. It is left once.

    Forgotten, it is given back too: at once in this process, elsewhere when nobody renews it.
    """

    def __init__(self, store: Counters | None = None, gifts: Sequence[Release] = ()) -> None:
        self._store = store
        self._releases = list(gifts)
        self.holder = f"{_PROCESS}{next(_numbers):x}"

    def release(self) -> None:
        """Give the place back. Never raises."""
        gifts, self._releases = self._releases, []
        if self._store and gifts:
            with _ignore_store_errors():
                self._store.release(self.holder, gifts)

    async def arelease(self) -> None:
        """Do the same without blocking the loop."""
        gifts, self._releases = self._releases, []
        if self._store and gifts:
            with _ignore_store_errors():
                await self._store.arelease(self.holder, gifts)

    def __del__(self) -> None:
        if self._store is stores.memory_counters:
            self.release()


def admit(user_id: int, key_id: str) -> ConcurrencyLease:
    """Take a request and a place for an answer, if the day has tokens left for it.

    Raises TooFast or QuotaExhausted. Its tokens are charged when they are known (`charge`).
    """
    caps = Limit.objects.caps_on(user_id, _key(key_id))
    if not caps:
        return ConcurrencyLease()
    met, wants = _admission_requests(caps)
    of_tokens = [cap for cap in caps if cap.kind == "tokens_per_day"]
    # Of tokens one must be left, and none is taken yet.
    wants = [*wants, *(Acquire(cap.key, DAY, cap.most - 1) for cap in of_tokens)]
    stay = _ask_now(lambda store: _taken(store, [*met, *of_tokens], wants))
    _leases[stay.holder] = stay
    return stay


def _taken(store: Counters, caps: list[QuotaLimit], wants: list[Acquire]) -> ConcurrencyLease:
    stay = ConcurrencyLease(store, [Release(want.key, want.seconds) for want in wants if want.hold])
    if refused := store.acquire(stay.holder, wants):
        raise _error(caps[refused.place], wants[refused.place], refused)
    return stay


# Answers of this process that hold something say so every now and then.
_leases: WeakValueDictionary[str, ConcurrencyLease] = WeakValueDictionary()
_renewed_at = 0.0


def renew_leases() -> None:
    """Say of the answers of this process that they go on, if that is due."""
    global _renewed_at
    if time.monotonic() - _renewed_at < HOLD_SECONDS / 3:
        return
    _renewed_at = time.monotonic()
    by_store: dict[Counters, list[str]] = {}
    for ref in _leases.valuerefs():
        stay = ref()
        if stay and stay._store and stay._releases:
            by_store.setdefault(stay._store, []).append(stay.holder)
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
        caps = Limit.objects.caps_on(row.caller_id, _key(row.key_id))
        gifts = [Release(cap.key, DAY, tokens) for cap in caps if cap.kind == "tokens_per_day"]
        if gifts:
            _ask_now(partial(_release, gifts))


def _release(gifts: list[Release], store: Counters) -> None:
    store.release(_PROCESS, gifts)


def _ask_now(ask: Callable[[Counters], Result]) -> Result:
    """Ask Redis if it answers, else where limits are counted without it."""
    if shared := rate.redis_store():
        with suppress(RedisError):
            return ask(RedisCounters(shared))
    return ask(stores.without_redis())


def _key(key_id: str) -> UUID | None:
    return UUID(key_id) if key_id else None


def _error(cap: QuotaLimit, want: Acquire, refused: Refusal) -> TooFast:
    whose = {"user": "Your", "group": "Your group's", "key": "This API key's"}
    named = f"{whose[cap.subject.partition(':')[0]]} limit of {cap.most:,} {KINDS[cap.kind]}"
    if refused.is_held:
        return TooFast(HELD_RETRY_SECONDS, f"{named} is taken by requests under way.")
    seconds = SECONDS[cap.kind]
    wait = seconds - time.time() % seconds
    if cap.kind == "requests_per_minute":
        return TooFast(wait, f"{named} is reached.")
    if cap.most < want.hold:
        # No day will have room for it.
        return QuotaExhausted(None, f"{named} is less than this request may take.")
    return QuotaExhausted(wait, f"{named} is used up.")


# Who holds something elsewhere than in this process says so every now and then.
_held: set[QuotaReservation] = set()
_releasing: set[asyncio.Task[None]] = set()
_renewing: asyncio.Task[None] | None = None


def _hold(allowance: QuotaReservation) -> None:
    global _renewing
    _held.add(allowance)
    loop = asyncio.get_running_loop()
    if _renewing is None or _renewing.done() or _renewing.get_loop() is not loop:
        _renewing = loop.create_task(_renew())


async def _renew() -> None:
    task = asyncio.current_task()
    assert task is not None
    # A cancellation may come back from Redis's client as a fault of its own.
    while _held and not task.cancelling():
        await asyncio.sleep(HOLD_SECONDS / 3)
        by_store: dict[Counters, list[str]] = {}
        for allowance in _held:
            if allowance._counters is not None:
                by_store.setdefault(allowance._counters, []).append(allowance._holder)
        for store, holders in by_store.items():
            with suppress(RedisError, DatabaseError):
                await store.arenew(holders)


async def aclose() -> None:
    """Give back what is being given back, and end the task that renews."""
    global _renewing
    await asyncio.gather(*_releasing)
    renewing, _renewing = _renewing, None
    if renewing and renewing.get_loop() is asyncio.get_running_loop():
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
