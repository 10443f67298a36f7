"""What belongs to one event loop: made on first use, dropped when the loop ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class PerLoop(Generic[Value]):
    """One value for each event loop, made by `make` on that loop."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: dict[asyncio.AbstractEventLoop, Value] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self) -> Value:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        try:
            return self._values[loop]
        except KeyError:
            value = self._make()
        with self._lock:
            for ended in [each for each in self._values if each.is_closed()]:
                del self._values[ended]
            self._values[loop] = value
        return value

    def pop(self) -> Value | None:
        """Return the running loop's value, if it has one, and make another the next time."""
        with self._lock:
            return self._values.pop(asyncio.get_running_loop(), None)

    def any(self) -> Value | None:
        """Return the value of some loop that has not ended, for use from outside of loops."""
        with self._lock:
            return next((v for loop, v in self._values.items() if not loop.is_closed()), None)
