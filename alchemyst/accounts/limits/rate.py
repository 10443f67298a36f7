"""Rate limits: one table, `settings.RATE_LIMITS`, for DRF and for the proxy.

A limit of `count` in `seconds` is kept over a sliding window, by two counters: that of this
window of the clock, and that of the last one, weighed by how much of it the sliding window still
covers. What was refused is not counted, so waiting always helps.

With Redis all processes share the counts. Redis being slow or away never stops a request and never
opens a limit: each process then counts for itself.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict, defaultdict
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import redis
from django.conf import settings

from proxy.common.outages import outages
from proxy.common.redis import CircuitBreaker, async_client, client
from proxy.common.runtime.per_loop import PerLoop

logger = logging.getLogger("alchemyst.accounts")

# How many subjects of one limit a process keeps; the one not seen for longest goes first.
MOST_SUBJECTS = 20_000


class Count(NamedTuple):
    window: int
    now: int
    before: int


class MemoryStore:
    """The counts of one limit in this process; safe to use from any thread."""

    def __init__(self, most: int = MOST_SUBJECTS) -> None:
        self._most = most
        self._counts: OrderedDict[str, Count] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def check(self, subject: str, count: int, seconds: int) -> float:
        """Count one request and return 0.0, or return the seconds to wait."""
        window, elapsed = divmod(time.time(), seconds)
        with self._lock:
            at, now, before = self._counts.get(subject, (window, 0, 0))
            if at != window:
                now, before = 0, now if at == window - 1 else 0
            if now + 1 + before * (1 - elapsed / seconds) > count:
                return _wait(now, before, elapsed, count, seconds)
            self._counts[subject] = Count(int(window), now + 1, before)
            self._counts.move_to_end(subject)
            if len(self._counts) > self._most:
                self._counts.popitem(last=False)
        return 0.0

    def undo(self, subject: str) -> None:
        """Take back one count."""
        with self._lock:
            if count := self._counts.get(subject):
                self._counts[subject] = count._replace(now=max(0, count.now - 1))


def _wait(now: int, before: int, elapsed: float, count: int, seconds: int) -> float:
    """Return the seconds until one more fits, if nothing else comes."""
    if now < count:
        return seconds * (1 - (count - 1 - now) / before) - elapsed
    return (seconds - elapsed) + seconds * (1 - (count - 1) / now)


_SCRIPTS = Path(__file__).parent
_CHECK = (_SCRIPTS / "rate_check.lua").read_text(encoding="utf-8")
_UNDO = (_SCRIPTS / "rate_undo.lua").read_text(encoding="utf-8")


class RedisStore:
    """The counts in Redis. Every call may raise RedisError or take REDIS_TIMEOUT."""

    def __init__(self, url: str) -> None:
        self.breaker = CircuitBreaker()
        self._client = client(url, decode_responses=True)
        # An asynchronous client belongs to the loop in which it first connected.
        self._clients = PerLoop(partial(async_client, url, decode_responses=True))

    def call(self, script: str, key: str, *args: int | str) -> float:
        try:
            answer = self._client.eval(script, 1, key, *args)
        except redis.RedisError as error:
            self._fail(error)
            raise
        self.breaker.succeed()
        return float(str(answer))

    async def acall(self, script: str, key: str, *args: int | str) -> float:
        try:
            answer = await self._clients.get().eval(script, 1, key, *args)
        except redis.RedisError as error:
            self._fail(error)
            raise
        self.breaker.succeed()
        return float(str(answer))

    def _fail(self, error: redis.RedisError) -> None:
        if self.breaker.fail() and not outages.report(error):
            logger.warning(
                "Redis refuses (%s): each process counts rate limits for itself.",
                type(error).__name__,
            )

    async def aclose(self) -> None:
        if client := self._clients.pop():
            await client.aclose()


_memory_stores: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)
_redis_stores: dict[str, RedisStore] = {}


def check(limit: str, subject: str, *, times: int = 1) -> float:
    """Count one request of `subject` and return 0.0, or return the seconds that it has to wait.

    `times` widens the limit for a subject that stands for several people.
    """
    count, seconds = settings.RATE_LIMITS[limit]
    if not count:
        return 0.0
    if store := redis_store():
        with suppress(redis.RedisError):
            return store.call(_CHECK, _key(limit, subject), count * times, seconds)
    return _memory_stores[limit].check(subject, count * times, seconds)


async def acheck(limit: str, subject: str) -> float:
    """Do the same without blocking the loop."""
    count, seconds = settings.RATE_LIMITS[limit]
    if not count:
        return 0.0
    if store := redis_store():
        with suppress(redis.RedisError):
            return await store.acall(_CHECK, _key(limit, subject), count, seconds)
    return _memory_stores[limit].check(subject, count, seconds)


def undo(limit: str, subject: str) -> None:
    """Take back one count: it was not what the limit is for."""
    _memory_stores[limit].undo(subject)
    if store := redis_store():
        with suppress(redis.RedisError):
            store.call(_UNDO, _key(limit, subject))


async def aclose() -> None:
    """Close what this loop holds open."""
    for store in _redis_stores.values():
        await store.aclose()


def clear() -> None:
    """Forget this process's counts."""
    _memory_stores.clear()


def redis_store() -> RedisStore | None:
    """Return the store in Redis, if there is one and it answers."""
    if not (url := settings.REDIS_URL):
        return None
    if (store := _redis_stores.get(url)) is None:
        store = _redis_stores[url] = RedisStore(url)
    return None if store.breaker.is_open else store


def _key(limit: str, subject: str) -> str:
    # Hashed: people type their password where the username belongs.
    return f"alchemyst:limit:{limit}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
