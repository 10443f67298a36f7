"""Counters in Redis, which all processes share; each call is one Lua script."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alchemyst.accounts.limits import rate
from alchemyst.accounts.limits.stores.types import HOLD_SECONDS, Acquire, Refusal, Release


def _script(name: str) -> str:
    return Path(__file__).with_name(f"{name}.lua").read_text(encoding="utf-8")


_ACQUIRE, _RELEASE = _script("acquire"), _script("release")
_RENEW, _RESET = _script("renew"), _script("reset")
_PREFIX = "alchemyst:allowance:"


@dataclass(frozen=True, slots=True)
class RedisCounters:
    """Counts that all processes share. Every call may raise RedisError."""

    store: rate.RedisStore

    async def aacquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None:
        key, argument = _call(holder, acquires=acquires)
        return _refusal(await self.store.acall(_ACQUIRE, key, argument))

    def acquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None:
        key, argument = _call(holder, acquires=acquires)
        return _refusal(self.store.call(_ACQUIRE, key, argument))

    def release(self, holder: str, releases: list[Release]) -> None:
        self.store.call(_RELEASE, *_call(holder, releases=releases))

    async def arelease(self, holder: str, releases: list[Release]) -> None:
        await self.store.acall(_RELEASE, *_call(holder, releases=releases))

    async def arenew(self, holders: list[str]) -> None:
        await self.store.acall(_RENEW, _PREFIX, _renewal(holders))

    def renew(self, holders: list[str]) -> None:
        self.store.call(_RENEW, _PREFIX, _renewal(holders))

    def reset(self, releases: list[Release]) -> None:
        self.store.call(_RESET, *_call("", releases=releases))


def _call(
    holder: str, *, acquires: list[Acquire] | None = None, releases: list[Release] | None = None
) -> tuple[str, str]:
    """Return the key and the argument of a script."""
    now = time.time()
    key = _holder_key(holder)
    argument = {
        "now": now,
        "ends": int(now + HOLD_SECONDS),
        "holder": holder,
        "holder_key": key,
        "acquires": [_with_window(each, now) for each in acquires or ()],
        "releases": [_with_window(each, now) for each in releases or ()],
    }
    return key, json.dumps(argument)


def _renewal(holders: list[str]) -> str:
    entries = [{"name": holder, "key": _holder_key(holder)} for holder in holders]
    return json.dumps({"holders": entries, "ends": int(time.time() + HOLD_SECONDS)})


def _holder_key(holder: str) -> str:
    """Return the key of the set of counters on which this holder holds something."""
    return f"{_PREFIX}of:{holder}"


def _with_window(change: Acquire | Release, now: float) -> dict[str, Any]:
    window = int(now // change.seconds)
    return change._asdict() | {"key": _PREFIX + change.key, "window": window}


def _refusal(result: float) -> Refusal | None:
    if not result:
        return None
    position, is_held = divmod(int(result) - 1, 2)
    return Refusal(position, bool(is_held))
