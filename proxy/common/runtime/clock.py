"""Whether the wall clock runs as it should: what others wrote by it is judged by it.

A clock that is set, or a machine that was asleep, makes every lease look as if it were over, or as
if it lasted for hours, until whoever lives has renewed it.
"""

from __future__ import annotations

import time

STEP_SECONDS = 2.0
"""A clock that is slewed takes the monotonic one along; only a step shows between the two."""
SETTLED_SECONDS = 10.0
"""After this long everybody who lives has renewed what they hold."""


def _offset() -> float:
    return time.time() - time.monotonic()


_last_offset = _offset()
_jumped_at = float("-inf")


def has_jumped() -> bool:
    """Return whether the clock was set a moment ago, as far as this process has seen."""
    global _last_offset, _jumped_at
    offset = _offset()
    if abs(offset - _last_offset) > STEP_SECONDS:
        _jumped_at = time.monotonic()
    _last_offset = offset
    return time.monotonic() - _jumped_at < SETTLED_SECONDS
