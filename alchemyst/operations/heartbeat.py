"""Once a second: poll broadcasts, refresh the kill switch, renew leases, save counters."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from alchemyst.accounts import broadcast
from alchemyst.accounts.limits import lease, persistence
from alchemyst.operations import health
from proxy.common.outages import outages
from proxy.common.runtime.periodic import run_periodically
from proxy.common.runtime.threads import on_heartbeat_thread
from proxy.filtering import kill_switch

logger = logging.getLogger("alchemyst.operations.heartbeat")

EVERY_SECONDS = 1.0
POLL_FAILED = "Other processes' events could not be read"


def tick() -> None:
    health.look_again()
    kill_switch.refresh()
    broadcast.poll()
    lease.renew_leases()
    persistence.save()


_tick, _resume, _save = map(on_heartbeat_thread, (tick, persistence.resume, persistence.save))


async def begin() -> None:
    """Resume the counts of the process before this one."""
    await _or_warn(_resume, "What was counted before could not be read")


async def close() -> None:
    """Save what was counted last."""
    await _or_warn(_save, "What was counted last could not be written")


async def _or_warn(work: Callable[[], Awaitable[None]], message: str) -> None:
    try:
        await work()
    # Also what fails around it: a database that is away fails before it is asked.
    except Exception as error:
        _warn(message, error)


def _warn(message: str, error: Exception) -> None:
    if not outages.report(error):
        logger.warning("%s: %s", message, type(error).__name__)


async def keep() -> None:
    """Tick every second, until cancelled. What fails now is tried again in a second."""
    await run_periodically(_tick, seconds=EVERY_SECONDS, on_error=partial(_warn, POLL_FAILED))
