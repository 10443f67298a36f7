"""The table of prices as this process read it a moment ago: a warm request asks no database.

A change is obeyed at once in the process that makes it, and within REMEMBERED seconds in others.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from channels.db import database_sync_to_async
from django.db import DatabaseError

from proxy.cost.prices import Table, shipped
from proxy.models import Price

logger = logging.getLogger("proxy.prices")

REMEMBERED: Final = 60.0

_table: Table | None = None
_read_at = 0.0
# Grows with every `forget`: what was read from the database before one is out of date.
_age = 0


def known() -> Table | None:
    """Return the prices that count, if they were read a moment ago."""
    return _table if time.monotonic() - _read_at < REMEMBERED else None


async def table() -> Table:
    """Return the prices that count; without a database, what was read last or is shipped."""
    if found := known():
        return found
    try:
        return await database_sync_to_async(kept)()
    except DatabaseError as error:
        logger.error("The prices could not be read: %s", type(error).__name__)
        return _table or Table(shipped())


def kept() -> Table:
    """Return the same from a thread that may ask the database itself."""
    global _table, _read_at
    if there := known():
        return there
    # Where it is old, one reads it, and others go on with what they have.
    _read_at, age = time.monotonic(), _age
    found = read()
    if age == _age:
        _table = found
    return found


def read() -> Table:
    """Return the prices that count as they stand in the database."""
    return Table(price.tariff for price in Price.objects.current())


def forget() -> None:
    """Read the prices again before they are next used."""
    global _table, _age
    _table = None
    _age += 1


def on_price_changed(**kwargs: Any) -> None:
    """Read the prices again after a change of a row."""
    forget()
