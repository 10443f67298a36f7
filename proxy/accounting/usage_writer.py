"""A usage row for every call, written off the request's path, and added up by hour and day.

What a provider says of its own usage is read then too, from the last bytes of its answer, after
the answer has gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction

from proxy.accounting import call_cost, price_table
from proxy.common.bulk_insert import bulk_insert, columns_of
from proxy.common.runtime.batch_writer import BatchWriter
from proxy.cost.prices import Tariff
from proxy.filtering import cache_estimates, conversation_state
from proxy.filtering.cost_gate import CostDecision
from proxy.models import UsageRecord, UsageRollup, rollup
from proxy.wire.dialect import Counts

# Calls wait with the ends of their answers, and a thousand bytes for all else.
MOST_WAITING_BYTES = 64 * 1024 * 1024
BARE_BYTES = 1000
# For each statement SQLite gives other threads a turn, and has to ask for its own again.
ROWS_A_STATEMENT = 100
# What is no longer kept goes in passing, a little at a time, so that nothing else waits for it.
EXPIRE_EVERY_SECONDS = 600.0
EXPIRED_AT_ONCE = 20_000
_expired_at = 0.0
# What is called, on the writer's thread, with the columns of the rows that were written.
observers: list[Callable[[list[dict[str, Any]]], None]] = []


@dataclass(slots=True)
class UsageEntry:
    """One call: the row's fields, the end of the provider's answer, and what reads usage in it."""

    created: datetime
    fields: dict[str, Any]
    tail: list[bytes]
    reported: Callable[[bytes], Counts]
    cost_decision: CostDecision | None = None
    """What the cost gate decided of it."""
    counts: Counts | None = None
    """The provider's usage, if it has been read."""


def _size(call: UsageEntry) -> int:
    return BARE_BYTES + sum(map(len, call.tail))


def _insert(batch: list[UsageEntry]) -> None:
    """Write the rows by one statement, in one transaction: the ORM would take ten times as long."""
    global _expired_at
    rows = [_row(call) for call in batch]
    try:
        _write(rows)
    except IntegrityError:
        # A batch that was written just before its task was cancelled comes a second time.
        rows = _unwritten(rows)
        _write(rows)
    for told in observers:
        told(rows)
    calls = {call.fields["request_id"]: call for call in batch}
    for row in rows:
        _update_estimates(calls[row["request_id"]], row)
    if time.monotonic() - _expired_at > EXPIRE_EVERY_SECONDS:
        _expired_at = time.monotonic()
        expire(most=EXPIRED_AT_ONCE)


def _write(rows: list[dict[str, Any]]) -> None:
    callers = {row["caller_id"] for row in rows}
    there = set(get_user_model().objects.filter(pk__in=callers).values_list("pk", flat=True))
    with transaction.atomic():
        rollup.add(rows)
        values = list(_values(rows, there))
        bulk_insert(UsageRecord, columns_of(UsageRecord), values, at_once=ROWS_A_STATEMENT)


def _values(rows: list[dict[str, Any]], there: set[int]) -> Iterator[list[Any]]:
    """Give each row in the columns' order, in the database's own types."""
    adapted = connection.ops.adapt_datetimefield_value
    keeps_zones = connection.features.supports_timezones
    for row in rows:
        created = row["created"]
        # Where no zones are kept it is UTC; the adapter takes three times as long to find out.
        created = adapted(created if keeps_zones else created.replace(tzinfo=None))
        # The account may have been deleted since: one such row must not take its batch along.
        caller = row["caller_id"] if row["caller_id"] in there else None
        yield [*{**row, "created": created, "caller_id": caller}.values()]


def _unwritten(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    named = [row["request_id"] for row in rows]
    written = UsageRecord.objects.filter(request_id__in=named)
    known = set(written.values_list("request_id", flat=True))
    return [row for row in rows if row["request_id"] not in known]


def _tariff(known: dict[str, Any]) -> Tariff | None:
    return price_table.kept().of(known.get("target", ""), known.get("model", ""))


def _update_estimates(call: UsageEntry, row: dict[str, Any]) -> None:
    """Let what a provider had cached correct what is believed of it."""
    cache_estimates.record_hit(row["target"], row["model"], row["cached_tokens"] or 0)
    if call.cost_decision and row["filtering"] in ("filtered", "unchanged"):
        found = call_cost.cached_tokens(row, call.cost_decision)
        if found is not None:
            conversation_state.record_cache_result(call.cost_decision, found)


def expire(*, most: int | None = None) -> int:
    """Delete rows, and their sums by hour, that are no longer kept; the sums by day stay."""
    return UsageRecord.objects.expire(most=most) + UsageRollup.objects.expire(most=most)


def _row(call: UsageEntry) -> dict[str, Any]:
    told = call.counts or call.reported(b"".join(call.tail))
    known = {"filtering": "", **call.fields, **told, "created": call.created}
    tariff = call.cost_decision.tariff if call.cost_decision else _tariff(known)
    known |= call_cost.columns(known, tariff, call.cost_decision)
    # In the columns' order, whatever order the fields have.
    return {**_columns(), **known}


@cache
def _columns() -> dict[str, Any]:
    """The table's columns, each with what stands there when nothing is known."""
    fields = [field for field in UsageRecord._meta.concrete_fields if not field.primary_key]
    return {field.attname: field.get_default() for field in fields}


queue = BatchWriter("usage rows", _insert, at_once=1000, most=MOST_WAITING_BYTES, weight=_size)
"""Takes a row for each call."""
