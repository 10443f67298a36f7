"""What a process does for as long as it lives, and that it ends with it."""

from __future__ import annotations

import asyncio

import pytest
import redis

from proxy.common.runtime.periodic import run_periodically


async def ended(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait([task], timeout=5)
    return bool(done)


def test_what_fails_is_told_and_done_again():
    told: list[str] = []
    again = asyncio.Event()

    async def work() -> None:
        if told:
            again.set()
            return
        raise redis.ConnectionError("away")

    async def main() -> None:
        task = asyncio.create_task(
            run_periodically(work, seconds=0, on_error=lambda e: told.append(str(e)))
        )
        await asyncio.wait_for(again.wait(), 5)
        task.cancel()
        assert await ended(task)

    asyncio.run(main())
    assert told == ["away"]


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_cancellation_ends_it_even_where_a_library_makes_a_fault_of_it(seconds: float):
    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise redis.TimeoutError from None

    async def main() -> None:
        task = asyncio.create_task(
            run_periodically(work, seconds=seconds, on_error=lambda error: None)
        )
        await asyncio.sleep(0)
        task.cancel()
        assert await ended(task)

    asyncio.run(main())
