"""Who may end a call early: the client that leaves, the provider that takes too long.

Both end it where it waits, by cancelling its task: for the provider's first byte, for its next one,
or for a client that reads slowly. One task and one timer serve a whole call; a timer for each wait
would cost a tenth of relaying a piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The caller went away before the answer's end."""


class Watch:
    """Runs a block as long as the client is there; raises ClientGone when it leaves.

    The request's body must have been read. `allow` sets how long the provider may take from then
    on; whoever waits for it asks `is_late` about a CancelledError, and if so calls `forgive`.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_gone = False
        self.is_late = False
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = task.get_loop()
        self._leaving = self._loop.create_task(self._wait_for_leaving())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        self._leaving.cancel()
        # A cancelled task keeps its last frame, and that this watch: without the cut both, and the
        # request with them, would wait for the garbage collector.
        del self._leaving
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (
            isinstance(error, asyncio.CancelledError)
            and self._is_gone
            and not self._task.uncancel()
        ):
            raise ClientGone from None

    def allow(self, seconds: float) -> None:
        """Give the provider so many seconds from now, in place of what is left."""
        self._due = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()

    def forgive(self) -> None:
        """Take the cancellation back that says that the provider is late."""
        self.is_late = False
        self._task.uncancel()

    async def _wait_for_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.is_late:
            self._is_gone = True
            self._task.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        """End the call if time is up; otherwise ring again when it will be."""
        if self._loop.time() < self._due:
            self._set_timer()
        elif not self._is_gone:
            self.is_late = True
            self._task.cancel()
