"""Wakes whoever waits for changes of an answer or of a chat, in this process and in all others.

A notification carries only a key: who gets it reads the database. It may be lost, so
nobody waits for it alone. Other processes are reached through the channel layer, where there is
one that they share; all keys of a moment go in one message.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

from proxy.common.outages import outages
from proxy.common.redis import CircuitBreaker
from proxy.common.runtime.per_loop import PerLoop

GROUP = "alchemyst.bell"
RETRY_SECONDS = 2.0
# How late a change is noticed whose notification was lost.
POLL_SECONDS, POLL_SECONDS_WITH_REDIS = 2.0, 15.0
# So that a process does not wake itself a second time.
PROCESS = secrets.token_hex(8)

logger = logging.getLogger(__name__)


class Subscription:
    """Waits for some keys; what is published between two waits is not missed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_awake = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait for a notification, for so long at most; say whether there was one."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_awake.wait()
        except TimeoutError:
            return False
        self._is_awake.clear()
        return True

    def wake(self) -> None:
        if self._loop is _running_loop():
            self._is_awake.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._is_awake.set)


_lock = Lock()
_subscriptions: dict[str, set[Subscription]] = {}


@contextmanager
def subscribed(*keys: str) -> Iterator[Subscription]:
    """Listen for `keys` from now on, on the running loop."""
    subscription = Subscription()
    with _lock:
        for key in keys:
            _subscriptions.setdefault(key, set()).add(subscription)
    _bridges.get().listen()
    try:
        yield subscription
    finally:
        with _lock:
            for key in keys:
                _subscriptions[key].discard(subscription)
                if not _subscriptions[key]:
                    del _subscriptions[key]


def publish(*keys: str) -> None:
    """Wake who waits for one of `keys`, everywhere. Never waits, never raises."""
    _publish_locally(keys)
    loop = _running_loop()
    if loop is not None:
        _bridges.get().send(keys)
    elif bridge := _bridges.any():
        bridge.loop.call_soon_threadsafe(bridge.send, keys)


def poll_interval(most: float) -> float:
    """Return how long to wait for a notification before polling without one, `most` at most."""
    return min(POLL_SECONDS_WITH_REDIS if settings.REDIS_URL else POLL_SECONDS, most)


async def close() -> None:
    """Stop listening to other processes on this loop."""
    if bridge := _bridges.pop():
        await bridge.close()


def _publish_locally(keys: Iterable[str]) -> None:
    with _lock:
        subscriptions = [
            subscription for key in keys for subscription in _subscriptions.get(key, ())
        ]
    for subscription in subscriptions:
        subscription.wake()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class RedisBridge:
    """To and from the other processes, on one event loop: silent without Redis."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._waiting: set[str] = set()
        self._sender: asyncio.Task[None] | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._breaker = CircuitBreaker()

    def listen(self) -> None:
        if settings.REDIS_URL and (self._receiver is None or self._receiver.done()):
            self._receiver = self.loop.create_task(self._receive())

    def send(self, keys: Iterable[str]) -> None:
        if not settings.REDIS_URL or self._breaker.is_open:
            return
        self._waiting.update(keys)
        if self._sender is None or self._sender.done():
            self._sender = self.loop.create_task(self._send())

    async def close(self) -> None:
        tasks = [task for task in (self._sender, self._receiver) if task and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=RETRY_SECONDS)

    async def _send(self) -> None:
        while self._waiting:
            keys, self._waiting = list(self._waiting), set()
            try:
                async with asyncio.timeout(settings.REDIS_TIMEOUT):
                    await _layer().group_send(GROUP, _message(keys))
                self._breaker.succeed()
            # The layer's faults are those of its Redis client, of sockets, of time.
            except Exception as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._breaker.fail():
            self._waiting.clear()
            if not outages.report(error):
                kind = type(error).__name__
                logger.warning("Redis takes no notifications (%s): other processes poll.", kind)

    async def _receive(self) -> None:
        """Pass on what other processes publish, until cancelled."""
        task = asyncio.current_task()
        assert task is not None
        # Redis's client may swallow a cancellation that meets it while it connects.
        while not task.cancelling():
            try:
                layer = _layer()
                async with asyncio.timeout(RETRY_SECONDS):
                    channel = await layer.new_channel()
                    await layer.group_add(GROUP, channel)
                while not task.cancelling():
                    message = await layer.receive(channel)
                    if message["process"] != PROCESS:
                        _publish_locally(message["keys"])
            except Exception as error:
                if not outages.report(error):
                    kind = type(error).__name__
                    logger.warning("Notifications of other processes are not received: %s", kind)
                await asyncio.sleep(RETRY_SECONDS)


def _message(keys: list[str]) -> dict[str, Any]:
    return {"type": "bell.ring", "process": PROCESS, "keys": keys}


_bridges = PerLoop(RedisBridge)


def _layer() -> Any:
    return get_channel_layer()
