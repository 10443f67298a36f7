"""The one switch that lets everything pass unfiltered, for the whole installation."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models


class FilterSwitch(models.Model):
    """One row, or none as long as nobody has touched it."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    is_off = models.BooleanField("pass everything through unfiltered", default=False)
    reason = models.CharField(max_length=300, blank=True)
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="filter_switch_is_one")
        ]

    def __str__(self) -> str:
        return "The filter is off" if self.is_off else "The filter is on"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("There is always one switch: turn it.")

    @classmethod
    def turn(cls, *, off: bool, reason: str = "") -> FilterSwitch:
        """Turn the filter off or on, for every process, within seconds."""
        switch, _ = cls.objects.update_or_create(
            pk=cls.ONLY, defaults={"is_off": off, "reason": reason[:300]}
        )
        return switch
