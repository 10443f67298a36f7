"""The table of prices as this process read it a moment ago: a warm request asks no database.

A change is obeyed at once in the process that makes it, and within REMEMBERED seconds in others.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

from django.db import DatabaseError

from proxy.common.ttl_cache import CachedValue
from proxy.cost.prices import Table, shipped
from proxy.models import Price

logger = logging.getLogger("proxy.accounting.price_table")

REMEMBERED: Final = 60.0


def read() -> Table:
    """Return the prices that count as they stand in the database."""
    return Table(price.tariff for price in Price.objects.current())


_table = CachedValue(read, seconds=lambda: REMEMBERED)

known = _table.fresh
"""Return the prices that count, if they were read a moment ago."""

get = _table.get
"""Return them from a thread that may ask the database itself."""

forget = _table.invalidate
"""Read the prices again before they are next used."""


async def table() -> Table:
    """Return the prices that count; without a database, what was read last or is shipped."""
    try:
        return await _table.aget()
    except DatabaseError as error:
        logger.error("The prices could not be read: %s", type(error).__name__)
        today = datetime.now(UTC).date()
        return _table.last() or Table(tariff for tariff in shipped() if tariff.since <= today)


def on_price_changed(**kwargs: Any) -> None:
    """Read the prices again after a change of a row."""
    forget()
