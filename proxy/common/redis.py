"""Redis as all of us ask it: within a time, once, and not at all for a while after it failed."""

from __future__ import annotations

import time
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry


def client(
    url: str, *, decode_responses: bool = False, seconds: float | None = None
) -> redis.Redis:
    """Return a client for threads; each question takes `settings.REDIS_TIMEOUT` at most.

    `seconds` take its place where somebody wants to know how slow it is.
    """
    # A client's own retries would make a caller wait for several timeouts.
    return redis.Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), decode_responses=decode_responses, **_timeouts(seconds)
    )


def async_client(url: str, *, decode_responses: bool = False) -> redis.asyncio.Redis:
    """Return the same for the event loop in which it first connects, and for no other."""
    connection: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        url, retry=AsyncRetry(NoBackoff(), 0), decode_responses=decode_responses, **_timeouts()
    )
    return connection


def _timeouts(seconds: float | None = None) -> dict[str, Any]:
    most = settings.REDIS_TIMEOUT if seconds is None else seconds
    return {"socket_timeout": most, "socket_connect_timeout": most}


class CircuitBreaker:
    """Says when not to ask: for some seconds after so many failures in a row."""

    def __init__(self, *, failures: int = 5, seconds: float = 30.0) -> None:
        self.failures = failures
        self.seconds = seconds
        self._count = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._until

    def succeed(self) -> None:
        """Note an answer."""
        self._count = 0

    def fail(self) -> bool:
        """Note a failure; say whether it opened the breaker."""
        self._count += 1
        if self._count < self.failures:
            return False
        # One more failure after that time is enough to open it again.
        self._count = self.failures - 1
        self._until = time.monotonic() + self.seconds
        return True
