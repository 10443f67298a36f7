"""Counters in the database, which all processes share."""

from __future__ import annotations

import time
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, Sum

from alchemyst.accounts.limits.stores.types import (
    HOLD_SECONDS,
    Acquire,
    Refusal,
    Release,
    is_over,
    refusal,
)
from alchemyst.accounts.models import LimitCount, LimitHold
from proxy.common.runtime.threads import on_database_thread


class DatabaseCounters:
    """Counts that all processes share, a row for each, locked while it is read and changed."""

    def __init__(self) -> None:
        # A call that waits for another's lock occupies a thread: some are left for other calls.
        self._acquire = on_database_thread(self.acquire, at_most=2, writes=True)
        self._release = on_database_thread(self.release, at_most=2, writes=True)
        self._renew = on_database_thread(self.renew, at_most=1, writes=True)

    def acquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None:
        now = time.time()
        with transaction.atomic():
            rows = self._lock({each.key: int(now // each.seconds) for each in acquires})
            held = _held(rows, now)
            for index, each in enumerate(acquires):
                if refused := refusal(index, each, rows[each.key].count, held.get(each.key, 0)):
                    return refused
            for each in acquires:
                if each.add:
                    _add(rows[each.key], each.add)
            LimitHold.objects.bulk_create(
                LimitHold(key=each.key, holder=holder, amount=each.hold, until=now + HOLD_SECONDS)
                for each in acquires
                if each.hold
            )
        return None

    def release(self, holder: str, releases: list[Release]) -> None:
        now = time.time()
        with transaction.atomic():
            rows = self._lock({each.key: int(now // each.seconds) for each in releases if each.add})
            for each in releases:
                if each.add:
                    _add(rows[each.key], each.add)
            keys = [each.key for each in releases]
            LimitHold.objects.filter(holder=holder, key__in=keys).delete()

    def reset(self, releases: list[Release]) -> None:
        LimitCount.objects.filter(key__in=[each.key for each in releases]).update(count=0)

    def renew(self, holders: list[str]) -> None:
        until = time.time() + HOLD_SECONDS
        LimitHold.objects.filter(holder__in=holders).update(until=until)
        LimitHold.objects.filter(until__lt=time.time()).delete()

    async def aacquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None:
        return await self._acquire(holder, acquires)

    async def arelease(self, holder: str, releases: list[Release]) -> None:
        await self._release(holder, releases)

    async def arenew(self, holders: list[str]) -> None:
        await self._renew(holders)

    def _lock(self, windows: dict[str, int]) -> dict[str, LimitCount]:
        """Return the rows of these counters, locked in one order, moved to their windows."""
        counters = LimitCount.objects.select_for_update().filter(key__in=windows).order_by("key")
        rows = {row.key: row for row in counters}
        if missing := sorted(windows.keys() - rows.keys()):
            new = [LimitCount(key=key, window=windows[key]) for key in missing]
            LimitCount.objects.bulk_create(new, ignore_conflicts=True)
            rows = {row.key: row for row in counters.all()}
        for row in rows.values():
            if is_over(row.window, windows[row.key]):
                row.window, row.count = windows[row.key], 0
        return rows


def _add(row: LimitCount, amount: int) -> None:
    row.count += amount
    row.save(update_fields=["window", "count"])


def _held(keys: Iterable[str], now: float) -> dict[str, int]:
    holds = LimitHold.objects.filter(key__in=list(keys), until__gt=now).order_by()
    return dict(holds.values_list("key").annotate(held=Sum(F("amount"))))
