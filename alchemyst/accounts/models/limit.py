"""The limits that staff set, and where their counts stand when the database keeps them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from alchemyst.accounts.models.account import InvalidatingQuerySet
from alchemyst.accounts.models.quota_limit import QuotaLimit
from alchemyst.accounts.signals import access_changed

# A limit's fields, and what each bounds.
KINDS = {
    "requests_per_minute": "requests a minute",
    "requests_per_day": "requests a day",
    "tokens_per_day": "tokens a day",
    "streams": "requests at once",
}


class LimitQuerySet(InvalidatingQuerySet["Limit"]):
    def on(self, user_id: int, key_id: UUID | None = None) -> models.QuerySet[Limit]:
        """The limits that this user meets with this API key, if it is one: all must allow."""
        own = Q(user=user_id) | Q(group__user=user_id)
        if key_id:
            own |= Q(key=key_id)
        return self.filter(own).order_by("pk")

    def limits_on(self, user_id: int, key_id: UUID | None) -> tuple[QuotaLimit, ...]:
        """Return what limits this user with this API key; all of it must allow a request."""
        return tuple(
            QuotaLimit(kind, limit.subject_for(user_id), most)
            for limit in self.on(user_id, key_id)
            for kind in KINDS
            if (most := getattr(limit, kind)) is not None
        )


class Limit(models.Model):
    """How much a user, each member of a group or all of them together, or an API key may ask for.

    An empty number is no limit. Minutes and days are those of the clock, in UTC.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="limit"
    )
    group = models.OneToOneField(Group, models.CASCADE, null=True, blank=True, related_name="limit")
    key = models.OneToOneField(
        "accounts.ApiKey",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="limit",
        verbose_name="API key",
    )
    is_shared = models.BooleanField(
        "shared by the group",
        default=False,
        help_text="All members together have this much; otherwise each of them has.",
    )
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    requests_per_day = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_day = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="What is sent and what is answered, by provider's count."
    )
    streams = models.PositiveIntegerField(
        "requests at once", null=True, blank=True, help_text="Answers under way, streamed or not."
    )
    note = models.CharField(max_length=200, blank=True, help_text="Why, for other staff.")

    objects = LimitQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(user__isnull=False, group=None, key=None)
                    | Q(user=None, group__isnull=False, key=None)
                    | Q(user=None, group=None, key__isnull=False)
                ),
                name="limit_of_one",
                violation_error_message="Choose one: a user, a group or an API key.",
            )
        ]

    def __str__(self) -> str:
        return f"Limit of {self.user or self.group or self.key}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        access_changed.send(type(self), user_id=None)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        access_changed.send(type(self), user_id=None)
        return deleted

    def subject_for(self, user_id: int) -> str:
        """Return under what name this user's requests are counted."""
        if self.group_id:
            return f"group:{self.group_id}" + ("" if self.is_shared else f":{user_id}")
        return f"user:{self.user_id}" if self.user_id else f"key:{self.key_id}"


class LimitCount(models.Model):
    """What was counted of a limit in one window of the clock."""

    key = models.CharField(max_length=120, primary_key=True)
    window = models.BigIntegerField(default=0)
    count = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.key


class LimitHold(models.Model):
    """What a request under way holds of a limit, until it ends or the hold is not renewed."""

    key = models.CharField(max_length=120)
    holder = models.CharField(max_length=40)
    amount = models.BigIntegerField()
    until = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "holder"], name="limit_hold_once")]
        indexes = [models.Index(fields=["holder"], name="limit_hold_of")]

    def __str__(self) -> str:
        return f"{self.amount} of {self.key}"
