"""A usage row for every call, written off the request's path, and added up by hour and day.

What a provider says of its own usage is read then too, after the answer has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction

from proxy.accounting import call_cost
from proxy.accounting.call_cost import PricedCall
from proxy.accounting.call_finished import CallFinished
from proxy.common.bulk_insert import bulk_insert, columns_of
from proxy.common.runtime.batch_writer import BatchWriter
from proxy.common.runtime.interval import Interval
from proxy.filtering import cache_estimates, conversation_state
from proxy.models import UsageRecord, UsageRollup, rollup
from proxy.models.usage_row import UsageRow

# Calls wait with the ends of their answers, and a thousand bytes for all else.
MOST_WAITING_BYTES = 64 * 1024 * 1024
BARE_BYTES = 1000
# For each statement SQLite gives other threads a turn, and has to ask for its own again.
ROWS_A_STATEMENT = 100
# What is no longer kept goes in passing, a little at a time, so that nothing else waits for it.
EXPIRED_AT_ONCE = 20_000
expiry = Interval(seconds=600)

Sink = Callable[[list[PricedCall]], None]
sinks: list[Sink] = []
"""What is called in turn, on the writer's thread, with the calls whose rows were written."""


def _size(call: CallFinished) -> int:
    return BARE_BYTES + call.size


def _write_batch(calls: list[CallFinished]) -> None:
    """Price calls, store their rows and sums, and hand them to the sinks."""
    priced = _store_once([call_cost.price(call) for call in calls])
    for sink in sinks:
        sink(priced)


def _store_once(calls: list[PricedCall]) -> list[PricedCall]:
    """Store calls, and return those that were not there yet."""
    try:
        _store([call.row for call in calls])
    except IntegrityError:
        # A batch that was written just before its task was cancelled comes a second time.
        calls = _unwritten(calls)
        _store([call.row for call in calls])
    return calls


def _store(rows: list[UsageRow]) -> None:
    """Write rows by few statements, in one transaction: the ORM would take ten times as long."""
    caller_ids = {row.caller_id for row in rows}
    existing = set(get_user_model().objects.filter(pk__in=caller_ids).values_list("pk", flat=True))
    with transaction.atomic():
        rollup.add(rows)
        values = list(_values(rows, existing))
        bulk_insert(UsageRecord, columns_of(UsageRecord), values, at_once=ROWS_A_STATEMENT)


def _values(rows: list[UsageRow], existing: set[int]) -> Iterator[tuple[Any, ...]]:
    """Yield each row in the database's own types."""
    adapt = connection.ops.adapt_datetimefield_value
    keeps_zones = connection.features.supports_timezones
    for row in rows:
        created, request_id, caller_id = row[:3]
        # Where no zones are kept it is UTC; the adapter takes three times as long to find out.
        adapted = adapt(created if keeps_zones else created.replace(tzinfo=None))
        # The account may have been deleted since: one such row must not take its batch along.
        yield adapted, request_id, caller_id if caller_id in existing else None, *row[3:]


def _unwritten(calls: list[PricedCall]) -> list[PricedCall]:
    request_ids = [call.row.request_id for call in calls]
    rows = UsageRecord.objects.filter(request_id__in=request_ids)
    existing = set(rows.values_list("request_id", flat=True))
    return [call for call in calls if call.row.request_id not in existing]


def update_cache_estimates(calls: list[PricedCall]) -> None:
    """Let what providers had cached correct what is estimated of them: a sink."""
    for row, cost_decision, _ in calls:
        cache_estimates.record_hit(row.target, row.model, row.cached_tokens or 0)
        if cost_decision and row.filtering in ("filtered", "unchanged"):
            cached = call_cost.cached_tokens(row, cost_decision)
            if cached is not None:
                conversation_state.record_cache_result(cost_decision, cached)


def expire_now_and_then(calls: list[PricedCall]) -> None:
    """Delete some of what is no longer kept, if that was not done a moment ago: a sink."""
    if expiry.is_due():
        expire(most=EXPIRED_AT_ONCE)


def expire(*, most: int | None = None) -> int:
    """Delete rows, and their sums by hour, that are no longer kept; the sums by day stay."""
    return UsageRecord.objects.expire(most=most) + UsageRollup.objects.expire(most=most)


queue = BatchWriter("usage rows", _write_batch, at_once=1000, most=MOST_WAITING_BYTES, weight=_size)
"""Takes each call that has ended."""
