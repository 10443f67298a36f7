"""What a server process does once a second: it looks what others have told, and tells its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from alchemyst.accounts import broadcast
from alchemyst.accounts.limits import persistence, quota
from proxy.common.runtime.periodic import run_periodically
from proxy.common.runtime.threads import on_heartbeat_thread
from proxy.filtering import kill_switch

logger = logging.getLogger("alchemyst.operations.heartbeat")

EVERY_SECONDS = 1.0
POLL_FAILED = "Nothing could be heard of other processes"


def tick() -> None:
    kill_switch.refresh()
    broadcast.poll()
    quota.renew_leases()
    persistence.save()


_tick, _resume, _save = map(on_heartbeat_thread, (tick, persistence.resume, persistence.save))


async def begin() -> None:
    """Go on with what was counted before this process."""
    await _or_warn(_resume, "What was counted before could not be read")


async def close() -> None:
    """Write down what was counted last."""
    await _or_warn(_save, "What was counted last could not be written")


async def _or_warn(work: Callable[[], Awaitable[None]], said: str) -> None:
    try:
        await work()
    # Also what fails around it: a database that is away fails before it is asked.
    except Exception as error:
        _warn(said, error)


def _warn(said: str, error: Exception) -> None:
    logger.warning("%s: %s", said, type(error).__name__)


async def keep() -> None:
    """Look every second, until cancelled. What fails now is looked at again in a second."""
    await run_periodically(_tick, seconds=EVERY_SECONDS, on_error=partial(_warn, POLL_FAILED))
