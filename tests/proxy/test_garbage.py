"""A call leaves nothing behind that only the garbage collector could free."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from proxy.common.web.asgi import ClientDisconnected
from proxy.options import Bounds
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.http1 import ProtocolError, head_of
from proxy.upstream.pool import Pool
from proxy.upstream.ssrf_guard import Resolver
from proxy.upstream.target import Origin
from tests.fakes import FakeProvider

BOUNDS = Bounds(first_byte=60, idle=60, total=600, most_bytes=1000)


async def never() -> MutableMapping[str, Any]:
    """The client stays."""
    await asyncio.Event().wait()
    return {}


async def _ended_well() -> None:
    with CallDeadline(never, BOUNDS) as deadline:
        deadline.extend(60)


async def _ended_late() -> None:
    with CallDeadline(never, BOUNDS) as deadline:
        deadline.extend(0.01)
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            assert deadline.is_timed_out
            deadline.uncancel()


async def _left_by_the_client() -> None:
    async def leaves() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnected), CallDeadline(leaves, BOUNDS):
        await asyncio.sleep(1)


async def _garbage_of(call: Callable[[], Any]) -> list[object]:
    """Return what of the proxy's a call leaves behind; other threads leave things of theirs."""
    await call()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await call()
        await asyncio.sleep(0.01)
        gc.collect()
        return [found for found in gc.garbage if type(found).__module__.startswith("proxy.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("call", [_ended_well, _ended_late, _left_by_the_client])
async def test_a_watch_makes_no_cycle(call: Callable[[], Any]):
    assert await _garbage_of(call) == []


@pytest.mark.parametrize("path", ["/v1/models", "/half-a-head/v1/models"])
def test_a_connection_makes_no_cycle(provider: FakeProvider, path: str):
    """On the loop that serves: the transports of Python's own are cycles themselves."""
    origin = Origin(is_tls=False, host="127.0.0.1", port=provider.port)
    head = head_of("GET", path.encode(), b"127.0.0.1", [], None)

    async def garbage() -> list[object]:
        pool = Pool(Resolver(is_guarded=False))

        async def call() -> None:
            with suppress(ProtocolError):
                answer = await pool.send(origin, head, None, is_safe=False)
                while await answer.read():
                    pass
                pool.release(origin, answer)
            pool.close()

        return await _garbage_of(call)

    assert uvloop.run(garbage()) == []
