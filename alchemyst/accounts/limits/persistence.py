"""Counts of limits beyond a process's life: saved, resumed, and reset by staff.

Redis and PostgreSQL keep theirs. Where a single process counts (SQLite), it saves them every
second: one that is killed loses a second at most.
"""

from __future__ import annotations

import time
from contextlib import suppress

from django.db import transaction
from redis import RedisError

from alchemyst.accounts.limits import rate, stores
from alchemyst.accounts.limits.admission import DAY, MINUTE, SECONDS
from alchemyst.accounts.limits.stores import RedisCounters, Release
from alchemyst.accounts.limits.stores.memory import MOST_COUNTERS
from alchemyst.accounts.models import ApiKey, Limit, LimitCount, User


def save() -> None:
    """Save what this process has counted since the last time."""
    if not (changed := stores.memory_counters.changes()):
        return
    LimitCount.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["window", "count"],
        batch_size=200,
    )


def resume() -> None:
    """Go on with what was counted before this process began."""
    if stores.without_redis() is stores.memory_counters:
        now = time.time()
        windows = [int(now // seconds) for seconds in (MINUTE, DAY)]
        # Of a clock that was a little ahead, too.
        windows += [window + 1 for window in windows]
        stores.memory_counters.resume(LimitCount.objects.filter(window__in=windows)[:MOST_COUNTERS])


def reset(user: User) -> None:
    """Count anew what this user and their API keys have asked for.

    What a group shares is its other members' too, and stays as it is.
    """
    keys = [None, *ApiKey.objects.filter(owner=user).values_list("pk", flat=True)]
    shared = {f"group:{group_id}" for group_id in user.groups.values_list("pk", flat=True)}
    limits = {limit for key_id in keys for limit in Limit.objects.limits_on(user.pk, key_id)}
    releases = [
        Release(limit.key, SECONDS[limit.kind])
        for limit in limits
        if limit.kind != "streams" and limit.subject not in shared
    ]
    transaction.on_commit(lambda: _reset(releases))


def _reset(releases: list[Release]) -> None:
    if store := rate.redis_store():
        with suppress(RedisError):
            RedisCounters(store).reset(releases)
    stores.without_redis().reset(releases)
    save()
