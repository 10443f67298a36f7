"""A person's own usage: the sums by day, as a chart, as tables, as a sheet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from proxy.api.usage import as_csv, dollars
from proxy.models import UsageRollup
from proxy.models.rollup import UsageRollupQuerySet
from proxy.pages.providers import user_id

SPANS = {7: _("7 days"), 30: _("30 days"), 90: _("90 days"), 365: _("A year")}
USUAL = 30
MOST_ROWS = 50
# The chart's own units; the page stretches it.
WIDTH, HEIGHT, GAP = 1000.0, 100.0, 0.25


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart: what was sent, and on top of it what was left out."""

    day: datetime
    sent: int
    left_out: int
    x: float
    width: float
    sent_y: float
    sent_height: float
    left_out_y: float
    left_out_height: float


@dataclass(frozen=True, slots=True)
class Chart:
    bars: list[Bar]
    highest: int
    """The tokens of the fullest day: the top of the chart."""


@require_safe
@login_required
def usage(request: HttpRequest) -> HttpResponse:
    days, rollups = _span_of(request)
    total = rollups.added_up()
    fields = {
        "tabs": [(f"?days={span}", label, span == days) for span, label in SPANS.items()],
        "days": days,
        "total": total,
        "share": _percent(total["tokens_saved"], total["tokens_before"]),
        "chart": chart(rollups, days),
        "cost": dollars(total["cost"]),
        "saved": dollars(total["saved"]),
        "losses": _with_money(rollups.added_up_by("starts").filter(saved__lt=0).order_by("starts")),
        "tables": [
            (gettext("By model"), gettext("Model"), _rows(rollups, "model")),
            (gettext("By provider"), gettext("Host"), _rows(rollups, "target")),
            (gettext("By key"), gettext("Key"), _with_key_names(request, _rows(rollups, "key_id"))),
        ],
    }
    return render(request, "proxy/usage.html", fields)


@require_safe
@login_required
def usage_sheet(request: HttpRequest) -> HttpResponse:
    """Return the usage by day, model, host and key, for a spreadsheet."""
    groups = ["time", "model", "host", "key"]
    rollups = _span_of(request)[1].added_up_by("starts", "model", "target", "key_id")
    return as_csv(groups, rollups.order_by("starts", "model", "target", "key_id"))


def chart(rollups: UsageRollupQuerySet, days: int) -> Chart:
    """Return a bar for each of the last `days` days, those without a request too."""
    sums = {row["starts"]: row for row in rollups.added_up_by("starts")}
    first = _today() - timedelta(days=days - 1)
    all_days = [first + timedelta(days=number) for number in range(days)]
    highest = max((row["tokens_before"] for row in sums.values()), default=0)
    step, scale = WIDTH / days, HEIGHT / (highest or 1)
    bars = []
    for number, day in enumerate(all_days):
        row = sums.get(day, {"tokens_after": 0, "tokens_saved": 0})
        sent, left_out = row["tokens_after"] * scale, row["tokens_saved"] * scale
        bars.append(
            Bar(
                day=day,
                sent=row["tokens_after"],
                left_out=row["tokens_saved"],
                x=round(number * step, 2),
                width=round(step * (1 - GAP), 2),
                sent_y=round(HEIGHT - sent, 2),
                sent_height=round(sent, 2),
                left_out_y=round(HEIGHT - sent - left_out, 2),
                left_out_height=round(left_out, 2),
            )
        )
    return Chart(bars, highest)


def _span_of(request: HttpRequest) -> tuple[int, UsageRollupQuerySet]:
    """Return the number of days in the query, and their usage."""
    text = request.GET.get("days", "")
    days = int(text) if text in map(str, SPANS) else USUAL
    until = _today() + timedelta(days=1)
    own = UsageRollup.objects.of(user_id(request))
    return days, own.within(UsageRollup.Period.DAY, until - timedelta(days=days), until)


def _rows(rollups: UsageRollupQuerySet, name: str) -> list[dict[str, Any]]:
    rows = rollups.added_up_by(name).order_by("-requests", name)[:MOST_ROWS]
    return [row | {"name": row[name]} for row in _with_money(rows)]


def _with_money(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with their costs in dollars, where these are known."""
    return [
        row
        | {
            "cost": dollars(row["cost"]) if row["priced"] else None,
            "saved": dollars(row["saved"]) if row["estimated_calls"] else None,
        }
        for row in rows
    ]


def _with_key_names(request: HttpRequest, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows under the names of the keys, where these still exist."""
    keys: Any = request.user
    names = {str(key): name for key, name in keys.api_keys.values_list("pk", "name")}
    session, gone = gettext("Without a key"), gettext("A revoked key")
    return [
        row | {"name": names.get(row["name"], gone) if row["name"] else session} for row in rows
    ]


def _today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0
