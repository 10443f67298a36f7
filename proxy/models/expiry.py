"""How long usage is kept, and how what is older goes: in small steps, never a table at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models


def oldest_usage() -> datetime:
    """Return the time before which rows and hours are no longer kept."""
    return datetime.now(UTC) - timedelta(days=settings.PROXY_USAGE_DAYS)


def deleted_in_steps(old: models.QuerySet[Any], at_once: int, most: int | None = None) -> int:
    """Delete these rows by `at_once`, up to about `most`, and return how many it was."""
    deleted = 0
    while most is None or deleted < most:
        ids = [pk for (pk,) in old.order_by().values_list("pk")[:at_once]]
        if not ids:
            break
        deleted += old.model._default_manager.filter(pk__in=ids).delete()[0]
    return deleted
