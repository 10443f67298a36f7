"""A usage row for every call, written off the request's path.

Calls are noted in memory, bounded, and written in batches by one task; when the database is slower
than the calls, rows are lost and counted, never requests delayed. What a provider says of its own
usage is read then too, from the last bytes of its answer, after the answer has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction

from proxy.models import UsageRecord
from proxy.wire.dialect import Counts

logger = logging.getLogger("proxy.usage")

MOST_WAITING = 20_000
BATCH = 500
PAUSE_SECONDS = 1.0
TRIES = 3


@dataclass(slots=True)
class Noted:
    """One call: the row's fields, the end of the provider's answer, and what reads usage in it."""

    created: datetime
    fields: dict[str, Any]
    tail: list[bytes]
    reported: Callable[[bytes], Counts]


_waiting: deque[Noted] = deque()
_writer: asyncio.Task[None] | None = None
lost = 0


def note(call: Noted) -> None:
    """Take a call's row; it is in the database within seconds. Never waits, never raises."""
    global _writer, lost
    if len(_waiting) >= MOST_WAITING:
        lost += 1
        return
    _waiting.append(call)
    loop = asyncio.get_running_loop()
    if _writer is None or _writer.done() or _writer.get_loop() is not loop:
        _writer = loop.create_task(_write_soon())


async def close() -> None:
    """Write what is waiting, now."""
    global _writer
    writer, _writer = _writer, None
    if writer and not writer.done() and writer.get_loop() is asyncio.get_running_loop():
        writer.cancel()
        await asyncio.wait([writer])
    await _write_all()


async def _write_soon() -> None:
    await asyncio.sleep(PAUSE_SECONDS)
    await _write_all()


async def _write_all() -> None:
    global lost
    while _waiting:
        batch = [_waiting.popleft() for _ in range(min(BATCH, len(_waiting)))]
        try:
            await _written(batch)
        except asyncio.CancelledError:
            _waiting.extendleft(reversed(batch))
            raise
        except DatabaseError as error:
            lost += len(batch)
            logger.error("%d usage rows could not be written: %s", lost, type(error).__name__)


async def _written(batch: list[Noted]) -> None:
    for left in reversed(range(TRIES)):
        try:
            await database_sync_to_async(_insert)(batch)
            return
        except DatabaseError:
            if not left:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


def _insert(batch: list[Noted]) -> None:
    """Write the rows by one statement, in one transaction: the ORM would take ten times as long.

    Without the transaction each row would be one, with a write of every page that it touches.
    """
    callers = {call.fields["caller_id"] for call in batch}
    there = set(get_user_model().objects.filter(pk__in=callers).values_list("pk", flat=True))
    for call in batch:
        if call.fields["caller_id"] not in there:
            # The account was deleted since: one such row must not take its batch along.
            call.fields["caller_id"] = None
    rows = [_row(call) for call in batch]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(_statement(), rows)


def _row(call: Noted) -> list[Any]:
    created = connection.ops.adapt_datetimefield_value(call.created)
    known = {**call.fields, **call.reported(b"".join(call.tail)), "created": created}
    return [known.get(column, default) for column, default in _columns().items()]


@cache
def _columns() -> dict[str, Any]:
    """The table's columns, each with what stands there when nothing is known."""
    fields = [field for field in UsageRecord._meta.concrete_fields if not field.primary_key]
    return {field.attname: field.get_default() for field in fields}


def _statement() -> str:
    quote = connection.ops.quote_name
    table = quote(UsageRecord._meta.db_table)
    columns = ", ".join(quote(column) for column in _columns())
    values = ", ".join(["%s"] * len(_columns()))
    # A batch that was written just before its task was cancelled comes a second time.
    return f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608
