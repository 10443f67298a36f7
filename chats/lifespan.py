"""What the chats do when a process starts, when it shall end, and when it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from types import FrameType
from typing import Any

from chats.answers import finish
from chats.answers import runner as answer_runner
from chats.eventlog import notify
from proxy.common.runtime.periodic import run_periodically
from proxy.common.runtime.threads import on_database_thread

# How late an answer ends whose process was killed, after its lease, where nobody reads it.
SWEEP_SECONDS = 15.0

logger = logging.getLogger(__name__)

_sweepers: list[asyncio.Task[None]] = []


async def start() -> None:
    """Look for answers whose process is gone, now and again, and listen for this one's end."""
    _sweepers.append(asyncio.create_task(_sweep()))
    _drain_on_signals(answer_runner.runner())


async def close() -> None:
    """Let what runs end; uvicorn has waited for those whom somebody watched."""
    runner = answer_runner.runner()
    await runner.drain(0.0 if runner.is_draining else answer_runner.GRACE_SECONDS)
    while _sweepers:
        sweeper = _sweepers.pop()
        sweeper.cancel()
        await asyncio.wait([sweeper])
    await notify.close()


async def _sweep() -> None:
    def failed(error: Exception) -> None:
        # The next look comes, and a reader of such an answer looks as well.
        logger.warning("Abandoned answers were not looked for: %s", type(error).__name__)

    await run_periodically(
        on_database_thread(finish.sweep, at_most=1, writes=True),
        seconds=SWEEP_SECONDS,
        on_error=failed,
    )


def _drain_on_signals(runner: answer_runner.Runner) -> None:
    """Begin to drain with the signal itself that ends the process.

    The server only waits for its connections then, and tells the application when they are gone;
    but an answer that somebody watches keeps its connection.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    draining: set[asyncio.Task[None]] = set()

    def drain() -> None:
        draining.add(loop.create_task(runner.drain(answer_runner.GRACE_SECONDS)))

    def drains_before(servers: Any) -> Any:
        def on_signal(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(drain)
            servers(number, frame)

        return on_signal

    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(servers := signal.getsignal(number)):
            signal.signal(number, drains_before(servers))
