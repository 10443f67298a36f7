"""What is done now and then, by whoever passes by."""

from __future__ import annotations

import time


class Interval:
    """So many seconds, over and over; the first time is at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = float("-inf")

    def is_due(self) -> bool:
        """Whether so long has passed since this was last true."""
        now = time.monotonic()
        if now - self._last <= self.seconds:
            return False
        self._last = now
        return True

    def restart(self) -> None:
        """Let it be as if it had just been due."""
        self._last = time.monotonic()
