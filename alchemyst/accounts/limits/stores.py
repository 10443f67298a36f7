"""Where limits are counted: in this process, in Redis, or in the database.

A counter has a count for a window of the clock, and holds: what requests under way have taken and
may give back. One question takes from several counters, all or nothing. With Redis all processes
count there; without it on PostgreSQL, in the database; on SQLite, where one process serves, in that
process (what becomes of it at its end: `recounting`). When Redis is away the next of these counts,
from nothing.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import F, Sum

from alchemyst.accounts.limits import rate
from alchemyst.accounts.models import LimitCount, LimitHold
from proxy.common.runtime.threads import on_database_thread

MOST_COUNTERS = 50_000
# A hold that is not renewed for so long is of a process that is gone.
HOLD_SECONDS = 90.0


class Acquire(NamedTuple):
    """What a request takes from one counter."""

    key: str
    seconds: int
    most: int
    add: int = 0
    hold: int = 0


class Release(NamedTuple):
    """What a request gives back: its hold on a counter, and what it counts for in the end."""

    key: str
    seconds: int
    add: int = 0


class Refusal(NamedTuple):
    """Which want could not be had, and whether waiting for others to end may help."""

    place: int
    is_held: bool


class Counters(Protocol):
    """What takes and gives back, in one question each; the first two wait where they stand."""

    def acquire(self, holder: str, wants: list[Acquire]) -> Refusal | None: ...

    def release(self, holder: str, gifts: list[Release]) -> None: ...

    async def aacquire(self, holder: str, wants: list[Acquire]) -> Refusal | None: ...

    async def arelease(self, holder: str, gifts: list[Release]) -> None: ...

    async def arenew(self, holders: list[str]) -> None: ...

    def renew(self, holders: list[str]) -> None: ...

    def reset(self, gifts: list[Release]) -> None:
        """Count anew; what requests under way hold stays held."""
        ...


def _refused(place: int, want: Acquire, count: int, held: int) -> Refusal | None:
    after = count + want.add + want.hold
    return Refusal(place, is_held=after <= want.most) if after + held > want.most else None


@dataclass(slots=True)
class _Counter:
    window: int = 0
    count: int = 0
    held: dict[str, int] = field(default_factory=dict)
    held_in_all: int = 0

    def turn(self, window: int) -> None:
        if window != self.window:
            self.window, self.count = window, 0

    def hold(self, holder: str, amount: int) -> None:
        self.let_go(holder)
        self.held[holder] = amount
        self.held_in_all += amount

    def let_go(self, holder: str) -> None:
        self.held_in_all -= self.held.pop(holder, 0)


class MemoryCounters:
    """Counts of this process alone; safe to use from any thread, and free of waiting."""

    def __init__(self, most: int = MOST_COUNTERS) -> None:
        self._most = most
        self._counters: OrderedDict[str, _Counter] = OrderedDict()
        self._changed: set[str] = set()
        self._lock = Lock()

    async def aacquire(self, holder: str, wants: list[Acquire]) -> Refusal | None:
        return self.acquire(holder, wants)

    def acquire(self, holder: str, wants: list[Acquire]) -> Refusal | None:
        now = time.time()
        with self._lock:
            found = [self._turned(want.key, want.seconds, now) for want in wants]
            for place, (want, counter) in enumerate(zip(wants, found, strict=True)):
                if refused := _refused(place, want, counter.count, counter.held_in_all):
                    return refused
            for want, counter in zip(wants, found, strict=True):
                if want.add:
                    counter.count += want.add
                    self._changed.add(want.key)
                if want.hold:
                    counter.hold(holder, want.hold)
        return None

    async def arelease(self, holder: str, gifts: list[Release]) -> None:
        self.release(holder, gifts)

    def release(self, holder: str, gifts: list[Release]) -> None:
        now = time.time()
        with self._lock:
            for gift in gifts:
                counter = self._turned(gift.key, gift.seconds, now)
                if gift.add:
                    counter.count += gift.add
                    self._changed.add(gift.key)
                counter.let_go(holder)

    async def arenew(self, holders: list[str]) -> None:
        """A process that is gone has taken its holds along."""

    def renew(self, holders: list[str]) -> None:
        """The same."""

    def reset(self, gifts: list[Release]) -> None:
        with self._lock:
            for gift in gifts:
                if counter := self._counters.get(gift.key):
                    counter.count = 0
                    self._changed.add(gift.key)

    def changes(self) -> list[LimitCount]:
        """Return what has been counted since this was last asked."""
        with self._lock:
            changed, self._changed = self._changed, set()
            found = [(key, self._counters[key]) for key in changed if key in self._counters]
            return [
                LimitCount(key=key, window=each.window, count=each.count) for key, each in found
            ]

    def resume(self, counts: Iterable[LimitCount]) -> None:
        """Go on with counts from before; of windows that are over they end by themselves."""
        with self._lock:
            for each in counts:
                self._counters[each.key] = _Counter(each.window, each.count)

    def clear(self) -> None:
        with self._lock:
            self._counters.clear()
            self._changed.clear()

    def _turned(self, key: str, seconds: int, now: float) -> _Counter:
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _Counter()
            if len(self._counters) > self._most:
                self._drop_one()
        else:
            self._counters.move_to_end(key)
        counter.turn(int(now // seconds))
        return counter

    def _drop_one(self) -> None:
        """Forget the counter that was not asked for longest, and of which nothing is held."""
        for key, counter in self._counters.items():
            if not counter.held:
                del self._counters[key]
                return


_ACQUIRE = """
local asked = cjson.decode(ARGV[1])
for place, want in ipairs(asked.wants) do
  local count = tonumber(redis.call('GET', want.key .. ':' .. want.window)) or 0
  local held = 0
  local entries = redis.call('HGETALL', want.key .. ':held')
  for entry = 1, #entries, 2 do
    local amount, ends = string.match(entries[entry + 1], '^(%d+) (%d+)$')
    if tonumber(ends) > asked.now then
      held = held + tonumber(amount)
    else
      redis.call('HDEL', want.key .. ':held', entries[entry])
    end
  end
  local after = count + want.add + want.hold
  if after > want.most then return tostring(2 * place - 1) end
  if after + held > want.most then return tostring(2 * place) end
end
for _, want in ipairs(asked.wants) do
  if want.add > 0 then
    redis.call('INCRBY', want.key .. ':' .. want.window, want.add)
    redis.call('EXPIRE', want.key .. ':' .. want.window, 2 * want.seconds)
  end
  if want.hold > 0 then
    redis.call('HSET', want.key .. ':held', asked.holder, want.hold .. ' ' .. asked.ends)
    redis.call('EXPIRE', want.key .. ':held', 86400)
    redis.call('SADD', asked.holders, want.key .. ':held')
    redis.call('EXPIRE', asked.holders, 86400)
  end
end
return '0'
"""
_RELEASE = """
local asked = cjson.decode(ARGV[1])
for _, gift in ipairs(asked.gifts) do
  redis.call('HDEL', gift.key .. ':held', asked.holder)
  if gift.add > 0 then
    redis.call('INCRBY', gift.key .. ':' .. gift.window, gift.add)
    redis.call('EXPIRE', gift.key .. ':' .. gift.window, 2 * gift.seconds)
  end
end
redis.call('DEL', asked.holders)
return '0'
"""
_RENEW = """
local asked = cjson.decode(ARGV[1])
for _, holder in ipairs(asked.holders) do
  for _, key in ipairs(redis.call('SMEMBERS', holder.held)) do
    local kept = redis.call('HGET', key, holder.name)
    if kept then
      redis.call('HSET', key, holder.name, string.match(kept, '^%d+') .. ' ' .. asked.ends)
    end
  end
end
return '0'
"""
_RESET = """
for _, gift in ipairs(cjson.decode(ARGV[1]).gifts) do
  redis.call('DEL', gift.key .. ':' .. gift.window)
end
return '0'
"""
_PREFIX = "alchemyst:allowance:"


@dataclass(frozen=True, slots=True)
class RedisCounters:
    """Counts that all processes share. Every question may raise RedisError."""

    shared: rate.RedisStore

    async def aacquire(self, holder: str, wants: list[Acquire]) -> Refusal | None:
        key, asked = _asked(holder, wants=[_timed(want) for want in wants])
        return _read(await self.shared.acall(_ACQUIRE, key, asked))

    def acquire(self, holder: str, wants: list[Acquire]) -> Refusal | None:
        key, asked = _asked(holder, wants=[_timed(want) for want in wants])
        return _read(self.shared.call(_ACQUIRE, key, asked))

    def release(self, holder: str, gifts: list[Release]) -> None:
        key, asked = _asked(holder, gifts=[_timed(gift) for gift in gifts])
        self.shared.call(_RELEASE, key, asked)

    async def arelease(self, holder: str, gifts: list[Release]) -> None:
        key, asked = _asked(holder, gifts=[_timed(gift) for gift in gifts])
        await self.shared.acall(_RELEASE, key, asked)

    async def arenew(self, holders: list[str]) -> None:
        await self.shared.acall(_RENEW, _PREFIX, _renewal(holders))

    def renew(self, holders: list[str]) -> None:
        self.shared.call(_RENEW, _PREFIX, _renewal(holders))

    def reset(self, gifts: list[Release]) -> None:
        self.shared.call(_RESET, *_asked("", gifts=[_timed(gift) for gift in gifts]))


def _renewal(holders: list[str]) -> str:
    named = [{"name": holder, "held": f"{_PREFIX}of:{holder}"} for holder in holders]
    return json.dumps({"holders": named, "ends": int(time.time() + HOLD_SECONDS)})


def _asked(holder: str, **asked: Any) -> tuple[str, str]:
    now = time.time()
    key = f"{_PREFIX}of:{holder}"
    common = {"now": now, "ends": int(now + HOLD_SECONDS), "holder": holder, "holders": key}
    return key, json.dumps(common | asked)


def _timed(thing: Acquire | Release) -> dict[str, Any]:
    window = int(time.time() // thing.seconds)
    return thing._asdict() | {"key": _PREFIX + thing.key, "window": window}


def _read(told: float) -> Refusal | None:
    if not told:
        return None
    place, is_held = divmod(int(told) - 1, 2)
    return Refusal(place, bool(is_held))


class DatabaseCounters:
    """Counts that all processes share, a row for each, locked while it is looked at."""

    def __init__(self) -> None:
        # Who waits for another's lock leaves threads for others.
        self._take = on_database_thread(self.acquire, at_most=2)
        self._give_back = on_database_thread(self.release, at_most=2)
        self._renew = on_database_thread(self.renew, at_most=1)

    def acquire(self, holder: str, wants: list[Acquire]) -> Refusal | None:
        now = time.time()
        with transaction.atomic():
            rows = self._locked({want.key: int(now // want.seconds) for want in wants})
            held = _held(rows, now)
            for place, want in enumerate(wants):
                count = rows[want.key].count
                if refused := _refused(place, want, count, held.get(want.key, 0)):
                    return refused
            for want in wants:
                if want.add:
                    rows[want.key].count += want.add
                    rows[want.key].save(update_fields=["window", "count"])
            LimitHold.objects.bulk_create(
                LimitHold(key=want.key, holder=holder, amount=want.hold, until=now + HOLD_SECONDS)
                for want in wants
                if want.hold
            )
        return None

    def release(self, holder: str, gifts: list[Release]) -> None:
        now = time.time()
        with transaction.atomic():
            rows = self._locked({gift.key: int(now // gift.seconds) for gift in gifts if gift.add})
            for gift in gifts:
                if gift.add:
                    rows[gift.key].count += gift.add
                    rows[gift.key].save(update_fields=["window", "count"])
            LimitHold.objects.filter(holder=holder, key__in=[gift.key for gift in gifts]).delete()

    def reset(self, gifts: list[Release]) -> None:
        LimitCount.objects.filter(key__in=[gift.key for gift in gifts]).update(count=0)

    def renew(self, holders: list[str]) -> None:
        until = time.time() + HOLD_SECONDS
        LimitHold.objects.filter(holder__in=holders).update(until=until)
        LimitHold.objects.filter(until__lt=time.time()).delete()

    async def aacquire(self, holder: str, wants: list[Acquire]) -> Refusal | None:
        return await self._take(holder, wants)

    async def arelease(self, holder: str, gifts: list[Release]) -> None:
        await self._give_back(holder, gifts)

    async def arenew(self, holders: list[str]) -> None:
        await self._renew(holders)

    def _locked(self, windows: dict[str, int]) -> dict[str, LimitCount]:
        """Return the rows of these counters, locked in one order, turned to their windows."""
        asked = LimitCount.objects.select_for_update().filter(key__in=windows).order_by("key")
        rows = {row.key: row for row in asked}
        if missing := sorted(windows.keys() - rows.keys()):
            new = [LimitCount(key=key, window=windows[key]) for key in missing]
            LimitCount.objects.bulk_create(new, ignore_conflicts=True)
            rows = {row.key: row for row in asked.all()}
        for row in rows.values():
            if row.window != windows[row.key]:
                row.window, row.count = windows[row.key], 0
        return rows


def _held(keys: Iterable[str], now: float) -> dict[str, int]:
    found = LimitHold.objects.filter(key__in=list(keys), until__gt=now).order_by()
    return dict(found.values_list("key").annotate(held=Sum(F("amount"))))


memory_counters = MemoryCounters()
database_counters = DatabaseCounters()


def without_redis() -> MemoryCounters | DatabaseCounters:
    """Return where to count when Redis is not there."""
    is_file = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    return memory_counters if is_file else database_counters
