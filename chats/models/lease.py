"""Leases: until when somebody is taken to be at work on a row, by its `lease_until`."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

LONGEST = timedelta(minutes=10)
"""No lease is made for so long: a later end was written by a clock that has been set back."""


def held() -> Q:
    """Match the rows that somebody is at work on."""
    now = timezone.now()
    return Q(lease_until__gt=now, lease_until__lt=now + LONGEST)


def is_held(until: datetime) -> bool:
    """Return whether a lease with that end is one that `held` matches."""
    return timedelta() < until - timezone.now() < LONGEST
