"""A call leaves nothing behind that only the garbage collector could free."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from proxy.watch import ClientGone, Watch


async def never() -> MutableMapping[str, Any]:
    """The client stays."""
    await asyncio.Event().wait()
    return {}


async def _ended_well() -> None:
    async with Watch(never) as watch:
        watch.allow(60)


async def _ended_late() -> None:
    async with Watch(never) as watch:
        watch.allow(0.01)
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            assert watch.is_late
            watch.forgive()


async def _left_by_the_client() -> None:
    async def leaves() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        async with Watch(leaves):
            await asyncio.sleep(1)


@pytest.mark.parametrize("call", [_ended_well, _ended_late, _left_by_the_client])
async def test_a_watch_makes_no_cycle(call: Callable[[], Any]):
    await call()
    gc.collect()
    gc.disable()
    try:
        await call()
        await asyncio.sleep(0)

        found = gc.collect()
    finally:
        gc.enable()

    assert found == 0
