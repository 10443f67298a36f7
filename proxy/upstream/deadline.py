"""Who may end a call early: the client that leaves, the provider that takes too long, the staff.

Each ends it where it waits, by cancelling its task: for the provider, for its first byte or its
next one, or for a client that reads slowly. One task and one timer serve a whole call; a timer for
each wait would cost a tenth of relaying a piece. Who leaves a call of less than a tenth of a second
is not noticed, which spares it the task.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Self

from proxy.common.web.asgi import ClientDisconnected, Receive
from proxy.errors import AccessEnded
from proxy.options import Bounds

# Watch the client for a disconnect only after this time: short answers have ended by then.
WATCHED_AFTER = 0.1


class CallDeadline:
    """Runs a block as long as the client is there; raises ClientDisconnected when it leaves.

    The request's body must have been read, or be read between `begin_upload` and `end_upload`:
    meanwhile whoever reads it sees the client leave. `extend` sets how long the provider may take
    from then on, within the bound for all. Whoever waits for it checks `is_timed_out` at a
    CancelledError, and if so calls `uncancel`.
    """

    def __init__(self, receive: Receive, bounds: Bounds) -> None:
        self._receive = receive
        self.bounds = bounds
        self._is_disconnected = self._is_uploading = False
        self.is_timed_out = False
        self.is_aborted = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = task.get_loop()
        now = self._loop.time()
        self._due = self._latest = now + self.bounds.total
        self._leaving: asyncio.Task[None] | None = None
        self._timer = self._loop.call_at(now + WATCHED_AFTER, self._on_timer)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        self._timer.cancel()
        # A timer keeps what it would have called, and a cancelled task its last frame: without the
        # cuts they, this deadline and the request with it would wait for the garbage collector.
        del self._timer
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        is_ours = self._is_disconnected or self.is_aborted
        if isinstance(error, asyncio.CancelledError) and is_ours and not self._task.uncancel():
            raise (ClientDisconnected if self._is_disconnected else AccessEnded) from None

    def extend(self, seconds: float) -> None:
        """Give the provider so many seconds from now, in place of what is left."""
        self._due = min(self._loop.time() + seconds, self._latest)
        if self._timer.when() > self._due:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._due, self._on_timer)

    def begin_upload(self) -> None:
        """Leave the client to whoever reads the body, which may take `total` by itself."""
        self._is_uploading = True

    def end_upload(self) -> None:
        """Count the provider's time from now on, and watch the client again."""
        if not self._is_uploading:
            return
        self._is_uploading = False
        now = self._loop.time()
        self._latest = now + self.bounds.total
        self._due = min(now + self.bounds.first_byte, self._latest)
        self._timer.cancel()
        self._timer = self._loop.call_at(min(now + WATCHED_AFTER, self._due), self._on_timer)

    def abort(self) -> None:
        """End the call soon: its caller may go on no longer. From any thread."""
        with suppress(RuntimeError):  # The call's event loop has ended, and so has the call.
            self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        if not self._is_disconnected and not self.is_timed_out and not self._task.done():
            self.is_aborted = True
            self._task.cancel()

    def uncancel(self) -> None:
        """Take the cancellation back that says that the call may not go on."""
        self.is_timed_out = False
        self._task.uncancel()
        self._timer.cancel()
        self._timer = self._loop.call_at(self._latest, self._on_timer)

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.is_timed_out and not self.is_aborted:
            self._is_disconnected = True
            self._task.cancel()

    def _on_timer(self) -> None:
        """Begin to watch the client; end the call if time is up, else set the timer again."""
        if self._leaving is None and not self._is_uploading:
            self._leaving = self._loop.create_task(self._wait_for_disconnect())
        now = self._loop.time()
        if now < self._due:
            # Fires early enough for the next piece's bound too, so one timer serves both.
            self._timer = self._loop.call_at(min(self._due, now + self.bounds.idle), self._on_timer)
        elif not self._is_disconnected and not self.is_aborted:
            self.is_timed_out = True
            self._task.cancel()
