"""What belongs to one event loop: made on first use, dropped when the loop ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class PerLoop(Generic[Value]):
    """One value for each event loop, made by `make` on that loop.

    `close`, if given, is called with it on that loop when the loop ends, and may be called of a
    value that was popped.
    """

    def __init__(
        self, make: Callable[[], Value], close: Callable[[Value], None] | None = None
    ) -> None:
        self._make = make
        self._close = close
        self._values: dict[asyncio.AbstractEventLoop, Value] = {}
        self._ends: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
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
                self._ends.pop(ended, None)
            self._values[loop] = value
            if self._close:
                self._ends[loop] = _at_end_of_loop(partial(self._close, value))
        return value

    def pop(self) -> Value | None:
        """Return the running loop's value, if it has one, and make another the next time."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._ends.pop(loop, None)
            return self._values.pop(loop, None)

    def any(self) -> Value | None:
        """Return the value of some loop that has not ended, for use from outside of loops."""
        with self._lock:
            return next((v for loop, v in self._values.items() if not loop.is_closed()), None)


def _at_end_of_loop(close: Callable[[], None]) -> AsyncGenerator[None]:
    """Have `close` called when the running loop ends, as long as what is returned is kept.

    A loop that ends closes the asynchronous generators that began on it, and tells nobody else.
    """

    async def wait() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            close()

    end = wait()
    with suppress(StopIteration):
        end.__anext__().send(None)
    return end
