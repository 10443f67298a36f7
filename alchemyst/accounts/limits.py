"""How often somebody may ask: one table, `settings.RATE_LIMITS`, for DRF and for the proxy.

A limit of `count` in `seconds` is kept over a sliding window, by two counters: that of this
window of the clock, and that of the last one, weighed by how much of it the sliding window still
covers. What was refused is not counted, so waiting always helps.

With Redis all processes share the counts. Redis being slow or away never stops a request and never
opens a limit: each process then counts for itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict, defaultdict
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger("alchemyst.accounts")

# How many subjects of one limit a process keeps; the one not seen for longest goes first.
MOST_SUBJECTS = 20_000
# After so many failures in a row Redis is left alone for so long.
FAILURES = 5
LEFT_ALONE = 30.0


class Count(NamedTuple):
    window: int
    now: int
    before: int


class Local:
    """The counts of one limit in this process; safe to use from any thread."""

    def __init__(self, most: int = MOST_SUBJECTS) -> None:
        self._most = most
        self._counts: OrderedDict[str, Count] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def hit(self, subject: str, count: int, seconds: int) -> float:
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

    def forgive(self, subject: str) -> None:
        """Take back one count."""
        with self._lock:
            if found := self._counts.get(subject):
                self._counts[subject] = found._replace(now=max(0, found.now - 1))


def _wait(now: int, before: int, elapsed: float, count: int, seconds: int) -> float:
    """Return the seconds until one more fits, if nothing else comes."""
    if now < count:
        return seconds * (1 - (count - 1 - now) / before) - elapsed
    return (seconds - elapsed) + seconds * (1 - (count - 1) / now)


# The same arithmetic, by Redis's own clock, so that processes need not agree on theirs.
_HIT = """
local count, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local time = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local window = math.floor(time / seconds)
local elapsed = time - window * seconds
local kept = redis.call('HMGET', KEYS[1], 'window', 'now', 'before')
local at, now, before = tonumber(kept[1]) or window, tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
if at ~= window then
  before = at == window - 1 and now or 0
  now = 0
end
if now + 1 + before * (1 - elapsed / seconds) > count then
  if now < count then
    return tostring(seconds * (1 - (count - 1 - now) / before) - elapsed)
  end
  return tostring((seconds - elapsed) + seconds * (1 - (count - 1) / now))
end
redis.call('HSET', KEYS[1], 'window', window, 'now', now + 1, 'before', before)
redis.call('EXPIRE', KEYS[1], 2 * seconds)
return '0'
"""
_FORGIVE = """
if (tonumber(redis.call('HGET', KEYS[1], 'now')) or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], 'now', -1)
end
return '0'
"""


class Breaker:
    """Stands around each question to Redis: swallows its failures, and says when not to ask."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._until

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, redis.RedisError):
            self._failures = 0
            return False
        self._failures += 1
        if self._failures >= FAILURES:
            # One more failure after that time is enough to leave it alone again.
            self._failures = FAILURES - 1
            self._until = time.monotonic() + LEFT_ALONE
            logger.warning("Redis does not answer: each process counts rate limits for itself.")
        return True


class Shared:
    """The counts in Redis. Every question may raise RedisError or take REDIS_TIMEOUT."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.breaker = Breaker()
        self._options: dict[str, Any] = {
            "socket_timeout": settings.REDIS_TIMEOUT,
            "socket_connect_timeout": settings.REDIS_TIMEOUT,
            "decode_responses": True,
        }
        # The clients' own retries would make a caller wait for several timeouts.
        self._client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **self._options)
        # An asynchronous client belongs to the loop in which it first connected.
        self._of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = (
            WeakKeyDictionary()
        )

    def ask(self, script: str, key: str, *args: int | str) -> float:
        return float(str(self._client.eval(script, 1, key, *args)))

    async def aask(self, script: str, key: str, *args: int | str) -> float:
        loop = asyncio.get_running_loop()
        if (client := self._of_loop.get(loop)) is None:
            once = AsyncRetry(NoBackoff(), 0)
            client = redis.asyncio.Redis.from_url(self.url, retry=once, **self._options)
            self._of_loop[loop] = client
        return float(str(await client.eval(script, 1, key, *args)))

    async def aclose(self) -> None:
        if client := self._of_loop.pop(asyncio.get_running_loop(), None):
            await client.aclose()


_locals: defaultdict[str, Local] = defaultdict(Local)
_shared: dict[str, Shared] = {}


def hit(limit: str, subject: str, *, times: int = 1) -> float:
    """Count one request of `subject` and return 0.0, or return the seconds that it has to wait.

    `times` widens the limit for a subject that stands for several people.
    """
    count, seconds = settings.RATE_LIMITS[limit]
    if not count:
        return 0.0
    if shared := askable():
        with shared.breaker:
            return shared.ask(_HIT, _key(limit, subject), count * times, seconds)
    return _locals[limit].hit(subject, count * times, seconds)


async def ahit(limit: str, subject: str) -> float:
    """Do the same without blocking the loop."""
    count, seconds = settings.RATE_LIMITS[limit]
    if not count:
        return 0.0
    if shared := askable():
        with shared.breaker:
            return await shared.aask(_HIT, _key(limit, subject), count, seconds)
    return _locals[limit].hit(subject, count, seconds)


def forgive(limit: str, subject: str) -> None:
    """Take back one count: it was not what the limit is for."""
    _locals[limit].forgive(subject)
    if shared := askable():
        with shared.breaker:
            shared.ask(_FORGIVE, _key(limit, subject))


async def aclose() -> None:
    """Close what this loop holds open."""
    for shared in _shared.values():
        await shared.aclose()


def clear() -> None:
    """Forget this process's counts."""
    _locals.clear()


def askable() -> Shared | None:
    """Return the shared counts, if there are any and they answer."""
    if not (url := settings.REDIS_URL):
        return None
    if (shared := _shared.get(url)) is None:
        shared = _shared[url] = Shared(url)
    return None if shared.breaker.is_open else shared


def _key(limit: str, subject: str) -> str:
    # Hashed: people type their password where the username belongs.
    return f"alchemyst:limit:{limit}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
