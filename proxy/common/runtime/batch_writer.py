"""What is written off the request's path: kept in memory, bounded, and written in batches.

While the database is away, rows wait for it. They are lost, and counted, when more wait than there
is room for, when the process ends meanwhile, or when the database refuses them. A request is never
delayed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, OperationalError

from proxy.common.runtime.retry import with_retries
from proxy.common.runtime.threads import on_database_thread

Row = TypeVar("Row")

PAUSE_SECONDS = 1.0
TRIES = 3

logger = logging.getLogger("proxy.common.runtime.batch_writer")


def _call(write: Callable[[list[Any]], None], batch: list[Any]) -> None:
    write(batch)


# One thread for all kinds of rows, however slow the database is.
_on_thread = on_database_thread(_call, at_most=1, writes=True)


def _one(row: object) -> int:
    return 1


class BatchWriter(Generic[Row]):
    """Rows of one kind on their way; one task at a time writes them, `at_once` in a batch.

    `write` inserts a batch, on a thread, in one transaction; a batch that was written just before
    its task was cancelled comes a second time. What waits adds up, by `weight`, to `most`.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[Row]], None],
        *,
        at_once: int,
        most: int,
        weight: Callable[[Row], int] = _one,
    ) -> None:
        self.name = name
        self.batch_size = at_once
        self.limit = most
        self.dropped = 0
        self._write = write
        self._weight = weight
        self._waiting: deque[Row] = deque()
        self._held = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that writes next; it may have ended meanwhile."""
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many rows wait."""
        return len(self._waiting)

    def add(self, row: Row) -> None:
        """Take a row; it is in the database within seconds. Never waits, never raises."""
        weight = self._weight(row)
        if self._held + weight > self.limit:
            self.dropped += 1
            # Logged at the 1st, 2nd, 4th, 8th ... loss: an outage does not flood the log.
            if self.dropped.bit_count() == 1:
                logger.error(
                    "%d %s were lost: too many wait to be written", self.dropped, self.name
                )
            return
        self._held += weight
        self._waiting.append(row)
        if not self._is_scheduled():
            loop = self._loop = asyncio.get_running_loop()
            # No task yet: a loop that ends waits for its tasks, but for none that begins meanwhile.
            self._timer = loop.call_later(PAUSE_SECONDS, self._start)

    async def close(self) -> None:
        """Write what is waiting, now."""
        if self._is_scheduled():
            timer, writer = self._timer, self._writer
            if timer:
                timer.cancel()
            elif writer:
                writer.cancel()
                await asyncio.wait([writer])
        self._loop = self._timer = self._writer = None
        await self._write_all(is_last=True)

    def _is_scheduled(self) -> bool:
        """Whether the running loop will write, or is writing, what waits."""
        if self._loop is not asyncio.get_running_loop():
            return False
        return self._timer is not None or (self._writer is not None and not self._writer.done())

    def _start(self) -> None:
        self._timer = None
        self._writer = asyncio.get_running_loop().create_task(self._write_waiting())

    async def _write_waiting(self) -> None:
        while not await self._write_all():
            logger.warning("%d %s wait for the database", len(self), self.name)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _write_all(self, *, is_last: bool = False) -> bool:
        """Write until nothing waits, and return True; or False where the database is away.

        A batch counts as waiting until it is written or lost. What can't be written is lost at
        once if this `is_last`.
        """
        waiting = self._waiting
        while waiting:
            batch = [waiting.popleft() for _ in range(min(self.batch_size, len(waiting)))]
            try:
                await with_retries(
                    partial(_on_thread, self._write, batch),
                    on=DatabaseError,
                    tries=TRIES,
                    pause=PAUSE_SECONDS,
                )
            except asyncio.CancelledError:
                waiting.extendleft(reversed(batch))
                raise
            except DatabaseError as error:
                if isinstance(error, OperationalError) and not is_last:
                    waiting.extendleft(reversed(batch))
                    return False
                self.dropped += len(batch)
                kind = type(error).__name__
                logger.error("%d %s could not be written: %s", self.dropped, self.name, kind)
            self._held -= sum(map(self._weight, batch))
        return True
