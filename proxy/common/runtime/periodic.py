"""Work that a process does again and again, for as long as it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def run_periodically(
    work: Callable[[], Awaitable[object]], *, seconds: float, on_error: Callable[[Exception], None]
) -> None:
    """Do `work` until cancelled, with a pause in between; a failure is reported.

    A library may make a fault of its own of a cancellation, but the task has counted it.
    """
    task = asyncio.current_task()
    assert task is not None
    while True:
        try:
            await work()
        # Any failure: the next run may succeed, and nothing else would restart the loop.
        except Exception as error:
            on_error(error)
        if task.cancelling():
            return
        await asyncio.sleep(seconds)
