"""What belongs to one event loop."""

from __future__ import annotations

import asyncio

from proxy.common.runtime.per_loop import PerLoop


def test_each_loop_has_its_own_for_as_long_as_it_runs():
    owned: PerLoop[object] = PerLoop(object)

    async def asked_twice() -> tuple[object, object]:
        return owned.get(), owned.get()

    first, again = asyncio.run(asked_twice())
    other, _ = asyncio.run(asked_twice())

    assert first is again
    assert first is not other


def test_what_belonged_to_a_loop_that_ended_is_dropped():
    owned: PerLoop[object] = PerLoop(object)

    async def ask() -> None:
        owned.get()

    for _ in range(5):
        asyncio.run(ask())

    assert len(owned) == 1
    assert owned.any() is None


def test_what_belonged_to_a_loop_is_closed_on_it_when_it_ends():
    closed: list[tuple[object, asyncio.AbstractEventLoop]] = []
    owned: PerLoop[object] = PerLoop(
        object, close=lambda value: closed.append((value, asyncio.get_running_loop()))
    )

    async def ask() -> tuple[object, asyncio.AbstractEventLoop]:
        return owned.get(), asyncio.get_running_loop()

    belonging = asyncio.run(ask())

    assert closed == [belonging]


async def test_what_was_taken_out_is_made_anew():
    owned: PerLoop[object] = PerLoop(object)
    first = owned.get()

    assert owned.pop() is first
    assert owned.pop() is None
    assert owned.get() is not first


async def test_a_thread_finds_that_of_a_loop_that_runs():
    owned: PerLoop[object] = PerLoop(object)
    value = owned.get()

    assert await asyncio.to_thread(owned.any) is value
