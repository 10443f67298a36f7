"""Work tried again after a while, when it failed in a way that may pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Result = TypeVar("Result")


async def with_retries(
    work: Callable[[], Awaitable[Result]],
    *,
    on: type[Exception],
    tries: int,
    pause: float,
    failed: Callable[[Exception], None] | None = None,
) -> Result:
    """Do work, `tries` times at most while it fails with `on`, with a pause of seconds between.

    Each such failure is passed to `failed`; the last one is raised, as is any other at once.
    """
    for left in reversed(range(tries)):
        try:
            return await work()
        except on as error:
            if failed is not None:
                failed(error)
            if not left:
                raise
            await asyncio.sleep(pause)
    raise ValueError("tries must be one or more")
