"""Where work on a body is done, so that the streams of others flow on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from proxy.common.runtime import threads

Params = ParamSpec("Params")
Result = TypeVar("Result")

# A body up to this size is read and filtered where it arrives, in about a millisecond; larger ones
# on a thread.
INLINE_BYTES = 2 * 1024


async def run_in_thread_if_large(size: int, work: Callable[..., Result], *args: Any) -> Result:
    """Do work on a body of that size: on a thread, or here if it is small."""
    return work(*args) if size <= INLINE_BYTES else await run_in_thread(work, *args)


async def run_in_thread(
    work: Callable[Params, Result], *args: Params.args, **named: Params.kwargs
) -> Result:
    """Do work on a body on a thread for such."""
    bound = partial(work, *args, **named)
    return await asyncio.get_running_loop().run_in_executor(threads.CPU, bound)
