"""What is remembered of conversations for the cost gate, in Redis or else in this process.

It is lost, at worst: when Redis is away or slow, a call goes on without it after PATIENCE, and
pays for that. With Redis all processes share it, and calls of one conversation take turns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Protocol, TypeVar

import msgspec
from django.conf import settings
from django.core import cache as django_cache

from proxy.common.redis import CircuitBreaker, client
from proxy.common.runtime import threads
from proxy.cost.rates import Rates
from proxy.cost.state import State, Unreadable
from proxy.filtering.cache_estimates import Belief
from proxy.filtering.cost_gate import Gated

Result = TypeVar("Result")

logger = logging.getLogger("proxy.filtering.conversation_state")

PATIENCE: Final = 0.02
KEPT_SECONDS: Final = 24 * 3600
LOCKED_SECONDS: Final = 1

_breaker = CircuitBreaker(failures=1, seconds=5.0)


@dataclass(frozen=True, slots=True)
class Page:
    """What is remembered of a conversation, and believed of its provider."""

    state: State | None = None
    belief: Belief = field(default_factory=Belief)


async def read(conversation: str, upstream: str, *, hold: bool = True) -> Page:
    """Return the page; the next reader waits for `write` a little while if `hold`."""
    found = await _in_time(lambda: _read(conversation, upstream, hold))
    return found or Page()


async def write(conversation: str, state: State) -> None:
    """Keep a conversation's state for a day."""
    packed = state.packed()
    await _in_time(lambda: _write(conversation, packed))


def learn(gated: Gated, found: int) -> None:
    """Take note, off the path, of how much of a request its provider had cached."""
    expected = gated.decision.hit
    try:
        told = msgspec.json.encode((gated.turn, found, expected))
        _shelf().put(_told(gated.conversation), told)
        _teach(gated.upstream, expected, found, gated.age, gated.tariff.rates)
    except Exception as error:
        # Whatever it raises: what is not learnt costs money at worst.
        logger.warning("Nothing was learnt from an answer: %s", type(error).__name__)


def _teach(upstream: str, expected: int, found: int, age: float, rates: Rates) -> None:
    (known,) = _shelf().take([_belief(upstream)])
    before = _believed(known)
    after = before.after(expected, found, age, rates)
    if after.is_alarmed and not before.is_alarmed:
        logger.warning(
            "%s caches less than half of what was expected; everything is sent for now", upstream
        )
    _shelf().put(_belief(upstream), msgspec.json.encode(after.plain()))


async def _in_time(work: Callable[[], Result]) -> Result | None:
    """Do work on the shelf: here in memory, on a thread and within PATIENCE where it is Redis."""
    if not settings.REDIS_URL:
        return work()
    if _breaker.is_open:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().run_in_executor(threads.NETWORK, work)
    except TimeoutError:
        return None
    except Exception as error:
        _breaker.fail()
        logger.warning("Conversations are not remembered: %s", type(error).__name__)
        return None


def _read(conversation: str, upstream: str, is_locked: bool) -> Page:
    keys = (_state(conversation), _told(conversation), _belief(upstream))
    packed, told, belief = _shelf().take(keys, lock=_lock(conversation) if is_locked else "")
    try:
        state = State.unpacked(packed) if packed else None
    except Unreadable:
        state = None
    if state and told:
        turn, cached, expected = msgspec.json.decode(told)
        if turn == state.turns:
            state = state.taught(cached, expected)
    return Page(state, _believed(belief))


def _believed(told: bytes | None) -> Belief:
    return Belief.of(msgspec.json.decode(told)) if told else Belief()


def _write(conversation: str, packed: bytes) -> None:
    _shelf().put(_state(conversation), packed, lock=_lock(conversation))


class _Shelf(Protocol):
    """Where bytes are kept by their keys for a day."""

    def take(self, keys: Sequence[str], *, lock: str = "") -> list[bytes | None]:
        """Return what is kept; with a lock, once nobody else has it or has had it too long."""

    def put(self, key: str, value: bytes, *, lock: str = "") -> None:
        """Keep a value, and give back the lock."""


class _InProcess:
    """The shelf of a process by itself, which needs no lock: one call at a time has its thread."""

    def take(self, keys: Sequence[str], *, lock: str = "") -> list[bytes | None]:
        found = django_cache.cache.get_many(keys)
        return [found.get(key) for key in keys]

    def put(self, key: str, value: bytes, *, lock: str = "") -> None:
        django_cache.cache.set(key, value, KEPT_SECONDS)


class _InRedis:
    """The shelf of all processes; each step is one round trip, as these are what it costs."""

    def __init__(self) -> None:
        self._redis = client(settings.REDIS_URL)

    def take(self, keys: Sequence[str], *, lock: str = "") -> list[bytes | None]:
        give_up = time.monotonic() + PATIENCE / 2
        while True:
            step = self._redis.pipeline(transaction=False)
            if lock:
                step.set(lock, 1, ex=LOCKED_SECONDS, nx=True)
            step.mget(keys)
            *locked, found = step.execute()
            if all(locked) or time.monotonic() > give_up:
                return list(found)
            time.sleep(PATIENCE / 10)

    def put(self, key: str, value: bytes, *, lock: str = "") -> None:
        step = self._redis.pipeline(transaction=False)
        step.set(key, value, ex=KEPT_SECONDS)
        if lock:
            step.delete(lock)
        step.execute()


@cache
def _shelf() -> _Shelf:
    return _InRedis() if settings.REDIS_URL else _InProcess()


def on_setting_changed(**kwargs: Any) -> None:
    """Choose again where conversations are kept."""
    _shelf.cache_clear()


def _state(conversation: str) -> str:
    return f"cost:state:{conversation}"


def _told(conversation: str) -> str:
    return f"cost:told:{conversation}"


def _lock(conversation: str) -> str:
    return f"cost:lock:{conversation}"


def _belief(upstream: str) -> str:
    return f"cost:belief:{upstream}"
