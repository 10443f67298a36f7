"""Where work on a body is done, so that the streams of others flow on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from proxy.common.runtime import threads

Result = TypeVar("Result")

# A body up to this size is read and filtered where it arrives, in about a millisecond; larger ones
# on a thread.
INLINE_BYTES = 2 * 1024


async def run_in_thread_if_large(size: int, work: Callable[..., Result], *args: Any) -> Result:
    """Do work on a body of that size: on a thread, or here if it is small."""
    if size <= INLINE_BYTES:
        return work(*args)
    return await asyncio.get_running_loop().run_in_executor(threads.CPU, work, *args)
