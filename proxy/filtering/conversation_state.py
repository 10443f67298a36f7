"""What is remembered of conversations for the cost gate, in Redis or else in this process.

It is lost, at worst: when Redis is away or slow, a call goes on without it after REDIS_BUDGET,
and pays for that. With Redis all processes share it, and calls of one conversation take turns.
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
from proxy.filtering.cache_estimates import CacheEstimate
from proxy.filtering.cost_gate import CostDecision

Result = TypeVar("Result")

logger = logging.getLogger("proxy.filtering.conversation_state")

REDIS_BUDGET: Final = 0.02
KEPT_SECONDS: Final = 24 * 3600
LOCKED_SECONDS: Final = 1

_breaker = CircuitBreaker(failures=1, seconds=5.0)


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What is remembered of a conversation, and the estimate of its provider's cache."""

    state: State | None = None
    cache_estimate: CacheEstimate = field(default_factory=CacheEstimate)


async def read(conversation: str, upstream: str, *, hold: bool = True) -> ConversationState:
    """Return what is remembered; if `hold`, the next reader waits a little for `write`."""
    state = await _in_time(lambda: _read(conversation, upstream, hold))
    return state or ConversationState()


async def write(conversation: str, state: State) -> None:
    """Keep a conversation's state for a day."""
    packed = state.packed()
    await _in_time(lambda: _write(conversation, packed))


def record_cache_result(cost_decision: CostDecision, cached: int) -> None:
    """Record, off the path, how much of a request its provider had cached."""
    expected = cost_decision.decision.hit
    try:
        packed = msgspec.json.encode((cost_decision.turn, cached, expected))
        _store().put(_result_key(cost_decision.conversation), packed)
        _update_estimate(
            cost_decision.upstream, expected, cached, cost_decision.age, cost_decision.tariff.rates
        )
    except Exception as error:
        # Whatever it raises: an estimate that is not updated costs money at worst.
        logger.warning("A cache result was not recorded: %s", type(error).__name__)


def _update_estimate(upstream: str, expected: int, cached: int, age: float, rates: Rates) -> None:
    (known,) = _store().get([_estimate_key(upstream)])
    before = _estimate_from(known)
    after = before.after(expected, cached, age, rates)
    if after.is_unreliable and not before.is_unreliable:
        logger.warning(
            "%s caches less than half of what was expected; everything is sent for now", upstream
        )
    _store().put(_estimate_key(upstream), msgspec.json.encode(after.plain()))


async def _in_time(work: Callable[[], Result]) -> Result | None:
    """Use the store: memory right here, Redis on a thread and within REDIS_BUDGET."""
    if not settings.REDIS_URL:
        return work()
    if _breaker.is_open:
        return None
    try:
        async with asyncio.timeout(REDIS_BUDGET):
            return await asyncio.get_running_loop().run_in_executor(threads.NETWORK, work)
    except TimeoutError:
        return None
    except Exception as error:
        _breaker.fail()
        logger.warning("Conversations are not remembered: %s", type(error).__name__)
        return None


def _read(conversation: str, upstream: str, is_locked: bool) -> ConversationState:
    keys = (_state_key(conversation), _result_key(conversation), _estimate_key(upstream))
    packed, cache_result, estimate = _store().get(
        keys, lock=_lock_key(conversation) if is_locked else ""
    )
    try:
        state = State.unpacked(packed) if packed else None
    except Unreadable:
        state = None
    if state and cache_result:
        turn, cached, expected = msgspec.json.decode(cache_result)
        if turn == state.turns:
            state = state.with_feedback(cached, expected)
    return ConversationState(state, _estimate_from(estimate))


def _estimate_from(packed: bytes | None) -> CacheEstimate:
    return CacheEstimate.of(msgspec.json.decode(packed)) if packed else CacheEstimate()


def _write(conversation: str, packed: bytes) -> None:
    _store().put(_state_key(conversation), packed, lock=_lock_key(conversation))


class _Store(Protocol):
    """Where bytes are kept by their keys for a day."""

    def get(self, keys: Sequence[str], *, lock: str = "") -> list[bytes | None]:
        """Return what is kept; with a lock, once nobody else has it or has had it too long."""

    def put(self, key: str, value: bytes, *, lock: str = "") -> None:
        """Keep a value, and give back the lock."""


class _ProcessStore:
    """The store of a process by itself, which needs no lock: one call at a time has its thread."""

    def get(self, keys: Sequence[str], *, lock: str = "") -> list[bytes | None]:
        values = django_cache.cache.get_many(keys)
        return [values.get(key) for key in keys]

    def put(self, key: str, value: bytes, *, lock: str = "") -> None:
        django_cache.cache.set(key, value, KEPT_SECONDS)


class _RedisStore:
    """The store of all processes; each step is one round trip, as these are what it costs."""

    def __init__(self) -> None:
        self._redis = client(settings.REDIS_URL)

    def get(self, keys: Sequence[str], *, lock: str = "") -> list[bytes | None]:
        give_up = time.monotonic() + REDIS_BUDGET / 2
        while True:
            step = self._redis.pipeline(transaction=False)
            if lock:
                step.set(lock, 1, ex=LOCKED_SECONDS, nx=True)
            step.mget(keys)
            *locked, values = step.execute()
            if all(locked) or time.monotonic() > give_up:
                return list(values)
            time.sleep(REDIS_BUDGET / 10)

    def put(self, key: str, value: bytes, *, lock: str = "") -> None:
        step = self._redis.pipeline(transaction=False)
        step.set(key, value, ex=KEPT_SECONDS)
        if lock:
            step.delete(lock)
        step.execute()


@cache
def _store() -> _Store:
    return _RedisStore() if settings.REDIS_URL else _ProcessStore()


def on_setting_changed(**kwargs: Any) -> None:
    """Choose again where conversations are kept."""
    _store.cache_clear()


def _state_key(conversation: str) -> str:
    return f"cost:state:{conversation}"


def _result_key(conversation: str) -> str:
    return f"cost:told:{conversation}"


def _lock_key(conversation: str) -> str:
    return f"cost:lock:{conversation}"


def _estimate_key(upstream: str) -> str:
    return f"cost:belief:{upstream}"
