"""The first page of the admin: what was used in the last month, from the sums by day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from django.contrib.auth.models import AnonymousUser

from alchemyst.accounts.models import User
from alchemyst.staff.charts import Chart, Series, ranked
from proxy.filtering import kill_switch
from proxy.models import UsageRollup
from proxy.models.rollup import FIRST_BYTE_BOUNDS, FIRST_BYTE_COUNTS

DAYS = 30
MOST_RANKED = 5

Row = Mapping[str, Any]


def context_for(user: User | AnonymousUser) -> dict[str, Any]:
    """Return what the page shows: charts only to those who may see usage."""
    context: dict[str, Any] = {"filter_is_off": kill_switch.is_active(), "charts": []}
    if not user.has_perm("proxy.view_usagerollup"):
        return context
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    month = _month(days)
    by_day = {row["starts"].date(): row for row in month.added_up_by("starts")}
    people = {row["starts"].date(): row["people"] for row in month.people()}
    context["charts"] = _charts(days, by_day, people)
    context["rankings"] = [
        ("Models", _ranking(month, "model")),
        ("Personas", _ranking(month, "persona")),
        ("Hosts", _ranking(month, "target")),
    ]
    context["tiles"] = _tiles(by_day.get(today, {}), people.get(today, 0), by_day.values())
    return context


def _month(days: list[date]) -> Any:
    since = datetime.combine(days[0], time.min, UTC)
    return UsageRollup.objects.within("day", since, since + timedelta(days=DAYS))


def _charts(
    days: list[date], by_day: Mapping[date, Row], people: Mapping[date, int]
) -> list[Chart]:
    def of(name: str) -> list[float]:
        return [by_day.get(day, {}).get(name, 0) for day in days]

    waits = [median_first_byte(by_day.get(day, {})) for day in days]
    return [
        Chart(
            "Requests",
            "",
            days,
            [
                Series("requests", "accent", of("requests")),
                Series("errors", "copper", of("errors")),
            ],
        ),
        Chart(
            "Tokens, before and after the filter",
            "",
            days,
            [
                Series("before", "hollow", of("tokens_before")),
                Series("after", "accent", of("tokens_after")),
            ],
        ),
        Chart(
            "Active users", "", days, [Series("users", "accent", [people.get(d, 0) for d in days])]
        ),
        Chart("Time to the first token, median", "ms", days, [Series("ms", "accent", waits)]),
        Chart(
            "Money saved by filtering, an estimate",
            "cents",
            days,
            [
                Series("cents saved", "accent", [max(cents(n), 0) for n in of("saved")]),
                Series("cents lost", "copper", [max(-cents(n), 0) for n in of("saved")]),
            ],
        ),
    ]


def cents(nanos: float) -> float:
    """Return billionths of a dollar as cents."""
    return nanos / 10_000_000


def median_first_byte(row: Row) -> float:
    """Return the median in milliseconds, as near as the counted spans tell; 0 without any."""
    counts = [row.get(name, 0) for name in FIRST_BYTE_COUNTS]
    half, before = sum(counts) / 2, 0
    if not half:
        return 0
    for count, (low, high) in zip(counts, pairwise((0, *FIRST_BYTE_BOUNDS)), strict=False):
        if before + count >= half:
            return round(low + (high - low) * (half - before) / count)
        before += count
    return FIRST_BYTE_BOUNDS[-1]


def _ranking(month: Any, field: str) -> list[Any]:
    rows = month.exclude(**{field: ""}).added_up_by(field).order_by("-requests", field)
    return ranked([(row[field], row["requests"]) for row in rows[:MOST_RANKED]])


def _money(month: Any) -> tuple[str, str, str]:
    """Return what was spent this month; what was saved is an estimate, and called one."""
    spent = sum(row["cost"] for row in month) / 1e9
    saved = sum(row["saved"] for row in month) / 1e9
    word = "saved" if saved >= 0 else "lost"
    return "Spent this month", f"${spent:,.2f}", f"${abs(saved):,.2f} {word}, an estimate"


def _tiles(today: Row, people: int, month: Any) -> list[tuple[str, str, str]]:
    before = sum(row["tokens_before"] for row in month)
    saved = sum(row["tokens_saved"] for row in month)
    wait = median_first_byte(today)
    share = f"{100 * saved / before:.0f} %" if before else "none yet"
    return [
        ("Requests today", f"{today.get('requests', 0):,}", f"errors: {today.get('errors', 0):,}"),
        ("Users today", f"{people:,}", "with at least one request"),
        ("First token today", f"{wait:,.0f} ms" if wait else "none yet", "median"),
        ("Left out this month", share, f"{saved:,} of {before:,} tokens"),
        _money(month),
    ]
