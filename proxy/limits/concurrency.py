"""How many requests of one user are served at once: `settings.PROXY_MAX_CONCURRENT`.

A stream may last for half an hour, so a rate alone bounds nothing. Each process counts for itself:
where several serve, a user has that many places in each.
"""

from __future__ import annotations

from proxy.common.web.asgi import App, Receive, Scope, Send
from proxy.errors import TooManyAtOnce
from proxy.options import options

# An answer of usual length has ended by then.
RETRY_AFTER_SECONDS = "2"


class ConcurrencyLimit:
    """ASGI: lets a user in while a place is free, until the answer ends, fails or the user leaves.

    It stands behind what sets `scope["user"]`, and serves one event loop, as a process has.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._taken: dict[int, int] = {}

    def __len__(self) -> int:
        """How many users have a request under way."""
        return len(self._taken)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = options().max_concurrent
        user_id, taken = scope["user"].id, self._taken
        others = taken.get(user_id, 0)
        if most and others >= most:
            raise TooManyAtOnce(
                f"You have {others} requests under way. Wait until one has ended, or send fewer.",
                headers=(("retry-after", RETRY_AFTER_SECONDS),),
            )
        taken[user_id] = others + 1
        try:
            await self.app(scope, receive, send)
        finally:
            if left := taken[user_id] - 1:
                taken[user_id] = left
            else:
                del taken[user_id]
