"""Rows on their way to a database that is away, or refuses them."""

from __future__ import annotations

import asyncio

import pytest
from django.db import DatabaseError, DataError, OperationalError

from proxy.common.runtime import batch_writer
from proxy.common.runtime.batch_writer import TRIES, BatchWriter

pytestmark = pytest.mark.django_db(transaction=True)


class Database:
    """Fails so often, then takes what it is given."""

    def __init__(self, *, failures: int, error: type[DatabaseError]) -> None:
        self.failures, self.error = failures, error
        self.rows: list[int] = []
        self.has_rows = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def write(self, batch: list[int]) -> None:
        if self.failures:
            self.failures -= 1
            raise self.error
        # A batch may come a second time, and is written once.
        self.rows += [row for row in batch if row not in self.rows]
        self.loop.call_soon_threadsafe(self.has_rows.set)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_writer, "PAUSE_SECONDS", 0.0)


def written(
    numbers: int, *, most: int, failures: int, error: type[DatabaseError] = OperationalError
) -> tuple[list[int], int]:
    """Write so many rows, two in a batch; return what is in the database, and how many are lost."""

    async def write() -> tuple[list[int], int]:
        database = Database(failures=failures, error=error)
        writer = BatchWriter("numbers", database.write, at_once=2, most=most)
        for number in range(numbers):
            writer.add(number)
        await asyncio.wait_for(database.has_rows.wait(), 20)
        await writer.close()
        return database.rows, writer.dropped

    return asyncio.run(write())


def test_rows_wait_for_a_database_that_is_away_longer_than_it_is_tried():
    assert written(5, most=10, failures=3 * TRIES + 1) == ([0, 1, 2, 3, 4], 0)


def test_more_rows_than_there_is_room_for_are_lost_and_counted():
    assert written(5, most=3, failures=TRIES) == ([0, 1, 2], 2)


def test_rows_that_the_database_refuses_make_way_for_others():
    assert written(4, most=10, failures=TRIES, error=DataError) == ([2, 3], 2)
