"""Periodic tasks: every server process offers to start what is due, and one of them does."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

import redis
from django.conf import settings
from django.core.cache import cache
from django.utils.module_loading import import_string

from proxy.common.runtime.periodic import run_periodically

TICK_SECONDS = 60.0

logger = logging.getLogger("alchemyst.tasks")

_started: dict[str, float] = {}


async def keep() -> None:
    """Start what is due, every minute, until cancelled."""
    await asyncio.sleep(TICK_SECONDS)
    await run_periodically(
        partial(asyncio.to_thread, start_due), seconds=TICK_SECONDS, on_error=_failed
    )


def _failed(error: Exception) -> None:
    message = "Periodic tasks could not be started; the next try is in a minute."
    logger.error(message, exc_info=error)


def start_due() -> None:
    """Start each of settings.CELERY_BEAT_SCHEDULE whose time has come."""
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        if _is_ours(name, entry["schedule"]):
            import_string(entry["task"]).delay()


def _is_ours(name: str, seconds: float) -> bool:
    """Whether the task is due, and no other process that shares our cache has started it."""
    now = time.monotonic()
    if now - _started.get(name, float("-inf")) < seconds:
        return False
    try:
        is_first = cache.add(f"periodic:{name}", 1, timeout=seconds)
    except redis.RedisError:
        # Twice is harmless, never is not.
        is_first = True
    if is_first:
        _started[name] = now
    return is_first
