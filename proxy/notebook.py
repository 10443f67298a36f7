"""What is remembered of conversations for the cost gate, in Django's cache.

It is lost, at worst: when the cache is away or slow, a call goes on without it after PATIENCE, and
pays for that. With Redis all processes share it, and calls of one conversation take turns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from django.conf import settings
from django.core.cache import cache

from proxy.beliefs import Belief
from proxy.cost.rates import Rates
from proxy.cost.state import State, Unreadable
from proxy.gate import Gated

Result = TypeVar("Result")

logger = logging.getLogger("proxy.notebook")

PATIENCE: Final = 0.02
KEPT_SECONDS: Final = 24 * 3600
LOCKED_SECONDS: Final = 1
LEFT_ALONE: Final = 5.0
"""After a failure the cache is not asked for so many seconds."""

_threads = ThreadPoolExecutor(4, thread_name_prefix="notebook")
_left_alone_until = 0.0


@dataclass(frozen=True, slots=True)
class Page:
    """What is remembered of a conversation, and believed of its provider."""

    state: State | None = None
    belief: Belief = field(default_factory=Belief)


async def read(conversation: str, upstream: str, *, hold: bool = True) -> Page:
    """Return the page; the next reader waits for `write` a little while if `hold`."""
    found = await _in_time(lambda: _read(conversation, upstream, hold and bool(settings.REDIS_URL)))
    return found or Page()


async def write(conversation: str, state: State) -> None:
    """Keep a conversation's state for a day."""
    packed = state.packed()
    await _in_time(lambda: _write(conversation, packed))


def learn(gated: Gated, found: int) -> None:
    """Take note, off the path, of how much of a request its provider had cached."""
    expected = gated.decision.hit
    try:
        cache.set(_told(gated.conversation), (gated.turn, found, expected), KEPT_SECONDS)
        _teach(gated.upstream, expected, found, gated.age, gated.tariff.rates)
    except Exception as error:
        # Whichever cache it is, and whatever it raises: what is not learnt costs money at worst.
        logger.warning("Nothing was learnt from an answer: %s", type(error).__name__)


def _teach(upstream: str, expected: int, found: int, age: float, rates: Rates) -> None:
    before = Belief(*cache.get(_belief(upstream), ()))
    after = before.after(expected, found, age, rates)
    if after.is_alarmed and not before.is_alarmed:
        logger.warning(
            "%s caches less than half of what was expected; everything is sent for now", upstream
        )
    cache.set(_belief(upstream), after.plain(), KEPT_SECONDS)


async def _in_time(work: Callable[[], Result]) -> Result | None:
    """Do work on the cache: here in memory, on a thread and within PATIENCE where it is Redis."""
    global _left_alone_until
    if not settings.REDIS_URL:
        return work()
    if time.monotonic() < _left_alone_until:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().run_in_executor(_threads, work)
    except TimeoutError:
        return None
    except Exception as error:
        _left_alone_until = time.monotonic() + LEFT_ALONE
        logger.warning("Conversations are not remembered: %s", type(error).__name__)
        return None


def _read(conversation: str, upstream: str, is_locked: bool) -> Page:
    if is_locked:
        give_up = time.monotonic() + PATIENCE / 2
        while not cache.add(_lock(conversation), 1, LOCKED_SECONDS):
            if time.monotonic() > give_up:
                break
            time.sleep(PATIENCE / 10)
    keys = (_state(conversation), _told(conversation), _belief(upstream))
    found = cache.get_many(keys)
    try:
        state = State.unpacked(found[keys[0]])
    except (KeyError, Unreadable):
        state = None
    if state and keys[1] in found:
        turn, cached, expected = found[keys[1]]
        if turn == state.turns:
            state = state.taught(cached, expected)
    return Page(state, Belief(*found.get(keys[2], ())))


def _write(conversation: str, packed: bytes) -> None:
    cache.set(_state(conversation), packed, KEPT_SECONDS)
    if settings.REDIS_URL:
        cache.delete(_lock(conversation))


def _state(conversation: str) -> str:
    return f"cost:state:{conversation}"


def _told(conversation: str) -> str:
    return f"cost:told:{conversation}"


def _lock(conversation: str) -> str:
    return f"cost:lock:{conversation}"


def _belief(upstream: str) -> str:
    return f"cost:belief:{upstream}"
