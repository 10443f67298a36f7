"""Budgets in money, and what requests under way hold of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Q, Sum

NANOS = 1_000_000_000
COUNTED = ("starts", "spent")
"""The fields that requests change; who has a budget does not hang on them."""
# A hold whose process died is released after this time.
HELD = timedelta(hours=1)


class BudgetQuerySet(models.QuerySet["Budget"]):
    @transaction.atomic
    def take(self, ids: Iterable[int], holder: str, amount: int, now: datetime) -> Budget | None:
        """Hold so many billionths of each of these budgets.

        Return one that has not enough left, and then nothing is held. Two at once take turns: the
        rows are locked, always in one order.
        """
        budgets = list(self.select_for_update().filter(pk__in=ids).order_by("pk"))
        for budget in budgets:
            budget.turn_to(now)
            if budget.spent + budget.held(now) + amount > budget.limit_nanos:
                return budget
        for budget in budgets:
            budget.save(update_fields=COUNTED)
        BudgetHold.objects.bulk_create(
            BudgetHold(budget=budget, holder=holder, amount=amount, until=now + HELD)
            for budget in budgets
        )
        return None

    @transaction.atomic
    def settle(self, ids: Iterable[int], holder: str, cost: int, now: datetime) -> None:
        """Give back what `holder` holds of these budgets, and count what it did spend."""
        for budget in self.select_for_update().filter(pk__in=ids).order_by("pk"):
            budget.turn_to(now)
            budget.spent += cost
            budget.save(update_fields=COUNTED)
        BudgetHold.objects.filter(Q(holder=holder) | Q(until__lt=now)).delete()


class Budget(models.Model):
    """What a user, all members of a group together, or an API key may spend in a period of time."""

    class Period(models.TextChoices):
        DAY = "day"
        MONTH = "month"
        ALL = "all", "all time"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="budgets"
    )
    group = models.ForeignKey(Group, models.CASCADE, null=True, blank=True, related_name="budgets")
    key_id = models.CharField(
        "API key", max_length=40, blank=True, help_text="The id of the key, as usage has it."
    )
    period = models.CharField(max_length=5, choices=Period.choices, default=Period.MONTH)
    limit = models.DecimalField(
        "limit in dollars", max_digits=12, decimal_places=4, validators=[MinValueValidator(0)]
    )
    note = models.CharField(max_length=200, blank=True, help_text="Why, for other staff.")
    starts = models.DateTimeField(
        editable=False, default=datetime.min.replace(tzinfo=UTC), help_text="Of the present period."
    )
    spent = models.BigIntegerField(
        default=0, editable=False, help_text="In that period, in billionths of a dollar."
    )

    objects = BudgetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(user__isnull=False, group=None, key_id="")
                    | Q(user=None, group__isnull=False, key_id="")
                    | (Q(user=None, group=None) & ~Q(key_id=""))
                ),
                name="budget_of_one",
                violation_error_message="Choose one: a user, a group or an API key.",
            )
        ]

    def __str__(self) -> str:
        return f"${self.limit:f} a {self.period} for {self.user or self.group or self.key_id}"

    @property
    def limit_nanos(self) -> int:
        return int(Decimal(self.limit) * NANOS)

    def held(self, now: datetime) -> int:
        """Return what requests under way hold of it."""
        held = self.holds.filter(until__gte=now).aggregate(sum=Sum("amount"))["sum"]
        return held or 0

    def turn_to(self, now: datetime) -> None:
        """Begin a new period where the last one is over."""
        starts = _start(self.period, now)
        if self.starts < starts:
            self.starts, self.spent = starts, 0

    def seconds_left(self, now: datetime) -> int | None:
        """Return the seconds until its period is over; None for all time."""
        if self.period == self.Period.ALL:
            return None
        start = _start(self.period, now)
        days = 1 if self.period == self.Period.DAY else 32
        return int((_start(self.period, start + timedelta(days=days)) - now).total_seconds()) + 1


class BudgetHold(models.Model):
    """What a request under way may cost at most, as far as that is known."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="holds")
    holder = models.CharField(max_length=40, db_index=True)
    amount = models.BigIntegerField()
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.holder


def _start(period: str, now: datetime) -> datetime:
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == Budget.Period.DAY:
        return day
    if period == Budget.Period.MONTH:
        return day.replace(day=1)
    return datetime.min.replace(tzinfo=UTC)
