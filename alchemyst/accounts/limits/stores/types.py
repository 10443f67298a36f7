"""What every store of counters takes and returns."""

from __future__ import annotations

from typing import NamedTuple, Protocol

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
    """What a request releases: its hold on a counter, and what it counts for in the end."""

    key: str
    seconds: int
    add: int = 0


class Refusal(NamedTuple):
    """Which of the acquires did not fit, and whether waiting for others to end may help."""

    position: int
    is_held: bool


class Counters(Protocol):
    """A store of counters; each call is atomic. The methods without `a` block."""

    def acquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None: ...

    def release(self, holder: str, releases: list[Release]) -> None: ...

    async def aacquire(self, holder: str, acquires: list[Acquire]) -> Refusal | None: ...

    async def arelease(self, holder: str, releases: list[Release]) -> None: ...

    async def arenew(self, holders: list[str]) -> None: ...

    def renew(self, holders: list[str]) -> None: ...

    def reset(self, releases: list[Release]) -> None:
        """Count anew; what requests under way hold stays held."""
        ...


def is_over(counted: int, window: int) -> bool:
    """Return whether the window that a count is of is over in this `window`.

    The one before is not later: a clock that is a little behind, or was set back over midnight,
    begins no window a second time. After a longer step back the count begins anew, or a clock that
    was a year ahead would end all limits' windows for a year.
    """
    return window not in (counted, counted - 1)


def refusal(position: int, acquire: Acquire, count: int, held: int) -> Refusal | None:
    """Return why one acquire does not fit a counter that has so much, if it does not."""
    after = count + acquire.add + acquire.hold
    return Refusal(position, is_held=after <= acquire.most) if after + held > acquire.most else None
