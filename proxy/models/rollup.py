"""Usage added up by hour and by day, as its rows are written: what pages and charts are drawn from.

Rows are counted once, in the transaction that inserts them, so that no question about usage has to
read the rows themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce

from proxy.common.bulk_insert import bulk_insert
from proxy.models.expiry import deleted_in_steps, oldest_usage
from proxy.models.usage import UsageRecord
from proxy.models.usage_row import UsageRow

FIRST_BYTE_BOUNDS = (100, 250, 500, 1000, 2500, 5000, 10000)
"""Milliseconds: how many answers began within each of them is counted, and how many later."""

FIRST_BYTE_COUNTS = (*(f"first_byte_{bound}" for bound in FIRST_BYTE_BOUNDS), "first_byte_later")
KEYS = ("period", "starts", "caller_id", "key_id", "model", "target", "persona")
_who_of = attrgetter(*KEYS[2:])
_FAILED = (
    UsageRecord.Outcome.REFUSED,
    UsageRecord.Outcome.BROKEN,
    UsageRecord.Outcome.FAILED,
)
HOUR = 3600
OPTIONAL_SUMS = ("written_for_long_tokens", "reasoning_tokens")
"""Sums that are None where no provider told of any: most never do."""

SUMS = (
    "requests",
    "errors",
    "tokens_before",
    "tokens_after",
    "reported",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "written_tokens",
    "priced",
    "cost",
    "estimated_calls",
    "expected_cached",
    "saved",
    "milliseconds",
    "first_bytes",
    "first_byte_milliseconds",
    *FIRST_BYTE_COUNTS,
    *OPTIONAL_SUMS,
)


class UsageRollupQuerySet(models.QuerySet["UsageRollup"]):
    def of(self, user_id: int, key_id: str = "") -> UsageRollupQuerySet:
        """The usage of this user; with a key's id, that key's own alone."""
        own = self.filter(caller=user_id)
        return own.filter(key_id=key_id) if key_id else own

    def within(self, period: str, since: datetime, until: datetime) -> UsageRollupQuerySet:
        """The hours or days that begin from `since` on and before `until`."""
        return self.filter(period=period, starts__gte=since, starts__lt=until)

    def added_up_by(self, *names: str) -> models.QuerySet[UsageRollup, dict[str, Any]]:
        """One row for each value of these fields, with all sums and what follows from them."""
        return self.order_by().values(*names).annotate(**_sums(), **_derived())

    def added_up(self) -> dict[str, Any]:
        """All of it in one row."""
        total = self.aggregate(**_sums())
        return total | {"tokens_saved": total["tokens_before"] - total["tokens_after"]}

    def people(self) -> models.QuerySet[UsageRollup, dict[str, Any]]:
        """How many different users each hour or day has."""
        by_time = self.order_by("starts").values("starts")
        return by_time.annotate(people=Count("caller_id", distinct=True))

    def expire(self, *, at_once: int = 1000, most: int | None = None) -> int:
        """Delete hours that are older than the rows, in small steps; days stay."""
        old = self.filter(period=UsageRollup.Period.HOUR, starts__lt=oldest_usage())
        return deleted_in_steps(old, at_once, most)


def _sums() -> dict[str, Any]:
    return {name: Sum(name) if name in OPTIONAL_SUMS else Coalesce(Sum(name), 0) for name in SUMS}


def _derived() -> dict[str, Any]:
    return {"tokens_saved": F("tokens_before") - F("tokens_after")}


class UsageRollup(models.Model):
    """The calls of one caller, key, model, host and persona in one hour or on one day, in UTC."""

    class Period(models.TextChoices):
        HOUR = "hour"
        DAY = "day"

    period = models.CharField(max_length=4, choices=Period.choices)
    starts = models.DateTimeField()
    caller = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        # Usage outlives the account, under the account's number.
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
    )
    key_id = models.CharField("API key", max_length=40, blank=True)
    model = models.CharField(max_length=200, blank=True)
    target = models.CharField("host", max_length=270, blank=True)
    persona = models.CharField(max_length=100, blank=True)

    requests = models.PositiveBigIntegerField(default=0)
    errors = models.PositiveBigIntegerField(
        default=0,
        help_text="Refused, broken off, failed, or answered with a status from 400 on.",
    )
    tokens_before = models.PositiveBigIntegerField(
        default=0, help_text="Our count, of requests that were answered: as they came."
    )
    tokens_after = models.PositiveBigIntegerField(
        default=0, help_text="And as they were forwarded; in shadow that is as they came."
    )
    reported = models.PositiveBigIntegerField(
        default=0, help_text="Requests of which the provider told its own counts."
    )
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    written_tokens = models.PositiveBigIntegerField(default=0)
    priced = models.PositiveBigIntegerField(
        default=0,
        help_text="Requests whose cost is known: the provider told its counts, and we "
        "have its prices.",
    )
    cost = models.BigIntegerField(default=0, help_text="Of those, in billionths of a dollar.")
    estimated_calls = models.PositiveBigIntegerField(
        default=0, help_text="Requests whose cost was looked at before they were sent."
    )
    expected_cached = models.PositiveBigIntegerField(default=0)
    saved = models.BigIntegerField(
        default=0,
        help_text="Of those, beside an estimate of what sending everything costs; below "
        "zero where it cost more.",
    )
    milliseconds = models.PositiveBigIntegerField(default=0)
    first_bytes = models.PositiveBigIntegerField(
        default=0, help_text="Requests whose answer began."
    )
    first_byte_milliseconds = models.PositiveBigIntegerField(default=0)
    first_byte_100 = models.PositiveBigIntegerField(default=0)
    first_byte_250 = models.PositiveBigIntegerField(default=0)
    first_byte_500 = models.PositiveBigIntegerField(default=0)
    first_byte_1000 = models.PositiveBigIntegerField(default=0)
    first_byte_2500 = models.PositiveBigIntegerField(default=0)
    first_byte_5000 = models.PositiveBigIntegerField(default=0)
    first_byte_10000 = models.PositiveBigIntegerField(default=0)
    first_byte_later = models.PositiveBigIntegerField(default=0)
    written_for_long_tokens = models.PositiveBigIntegerField(
        null=True, help_text="Of those written, for an hour; empty where no provider told."
    )
    reasoning_tokens = models.PositiveBigIntegerField(
        null=True, help_text="Of the completions; empty where no provider told."
    )

    objects = UsageRollupQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=KEYS, name="usage_rollup_once")]
        indexes = [models.Index(fields=["caller", "period", "starts"], name="usage_rollup_of")]

    def __str__(self) -> str:
        return f"{self.period} of {self.starts:%Y-%m-%d %H:%M}"


def add(rows: Iterable[UsageRow]) -> None:
    """Add usage rows to their hours and days, within a transaction.

    The order is the same in every process, so that two of them never wait for each other.
    """
    alike: defaultdict[tuple[Any, ...], list[UsageRow]] = defaultdict(list)
    for row in rows:
        alike[int(row.created.timestamp()) // HOUR, *_who_of(row)].append(row)
    totals: dict[tuple[Any, ...], list[int | None]] = {}
    for (hour, *who), group in alike.items():
        counted = _counted(group)
        for period, starts in _spans(hour):
            total = totals.get((period, starts, *who))
            totals[period, starts, *who] = list(map(_plus, total, counted)) if total else counted
    values = [
        (key[0], connection.ops.adapt_datetimefield_value(key[1]), *key[2:], *total)
        for key, total in sorted(totals.items())
    ]
    bulk_insert(UsageRollup, (*KEYS, *SUMS), values, on_conflict=_adding())


def _spans(hour: int) -> tuple[tuple[str, datetime], ...]:
    starts = datetime.fromtimestamp(hour * HOUR, UTC)
    return (
        (UsageRollup.Period.HOUR.value, starts),
        (UsageRollup.Period.DAY.value, starts.replace(hour=0)),
    )


def _plus(one: int | None, other: int | None) -> int | None:
    """Add two sums, of which one that is unknown adds nothing."""
    return other if one is None else one if other is None else one + other


def _counted(rows: list[UsageRow]) -> list[int | None]:
    """Return what rows add to each of SUMS.

    What was not answered well has cost and saved nothing, so its tokens don't count.
    """
    answered = [row for row in rows if not _is_error(row)]
    first = _known(rows, "first_byte_milliseconds")
    prompt, cost = _known(rows, "prompt_tokens"), _known(rows, "cost")
    saved = _known(rows, "saved")
    began = [bisect_left(FIRST_BYTE_BOUNDS, milliseconds) for milliseconds in first]
    return [
        len(rows),
        len(rows) - len(answered),
        sum(row.tokens_before for row in answered),
        sum(_sent_tokens(row) for row in answered),
        len(prompt),
        sum(prompt),
        sum(_known(rows, "cached_tokens")),
        sum(_known(rows, "completion_tokens")),
        sum(_known(rows, "written_tokens")),
        len(cost),
        sum(cost),
        len(saved),
        sum(_known(rows, "expected_cached")),
        sum(saved),
        sum(row.milliseconds for row in rows),
        len(first),
        sum(first),
        *map(began.count, range(len(FIRST_BYTE_COUNTS))),
        *(sum(known) if (known := _known(rows, name)) else None for name in OPTIONAL_SUMS),
    ]


def _is_error(row: UsageRow) -> bool:
    return row.status >= 400 or row.outcome in _FAILED


def _sent_tokens(row: UsageRow) -> int:
    # What was forwarded in shadow is all of it.
    return row.tokens_before if row.filtering == "shadow" else row.tokens_after


def _known(rows: list[UsageRow], name: str) -> list[int]:
    return [value for value in map(attrgetter(name), rows) if value is not None]


@cache
def _adding() -> str:
    """Return what adds a row to the one that is there."""
    quote = connection.ops.quote_name
    table = quote(UsageRollup._meta.db_table)

    def sum_of(name: str) -> str:
        old, new = f"{table}.{quote(name)}", f"EXCLUDED.{quote(name)}"
        return (
            f"COALESCE({old} + {new}, {old}, {new})" if name in OPTIONAL_SUMS else f"{old} + {new}"
        )

    sums = ", ".join(f"{quote(name)} = {sum_of(name)}" for name in SUMS)
    return f"({', '.join(map(quote, KEYS))}) DO UPDATE SET {sums}"
