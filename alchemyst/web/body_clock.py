"""How long a request's body may take: from one piece to the next, and in all, by its size.

What counts is the time for which we wait for the client. A large body that goes on coming earns
more of it than a small one.
"""

from __future__ import annotations

import asyncio

from django.conf import settings

from alchemyst.errors import api_error
from proxy.common.web.asgi import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    call_refusing,
    header,
    header_names,
)

# A body that comes as fast as this may be of any length.
LEAST_BYTES_A_SECOND = 8 * 1024
TOO_SLOW = "The body did not arrive in time. Send it again, faster."


class BodyClock:
    """ASGI: refuses a request, with 408, whose body is promised and does not come.

    Waiting for the client to leave, which comes after the body, has no end.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _has_body(scope):
            await call_refusing(self.app, scope, _timed(receive), send)
        else:
            await self.app(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    length = header(scope, b"content-length")
    return length not in (None, "0") or b"transfer-encoding" in header_names(scope)


def _timed(receive: Receive) -> Receive:
    """Return `receive`, which raises once the body, or the next piece of it, is too late."""
    loop = asyncio.get_running_loop()
    left = settings.REQUEST_BODY_SECONDS
    is_whole = False

    async def timed() -> Message:
        nonlocal is_whole, left
        if is_whole:
            return await receive()
        began = loop.time()
        try:
            async with asyncio.timeout(min(settings.REQUEST_BODY_IDLE_SECONDS, left)):
                event = await receive()
        except TimeoutError:
            # What is left of the body is not read, so nothing else can come by this connection.
            raise api_error(408, TOO_SLOW, headers=(("connection", "close"),)) from None
        is_whole = not event.get("more_body")
        left += len(event.get("body", b"")) / LEAST_BYTES_A_SECOND - (loop.time() - began)
        return event

    return timed
