"""Bodies that come in chunks, for the part of the API that wants to know their length first."""

from __future__ import annotations

from django.conf import settings

from alchemyst.errors import fault
from alchemyst.logs import App, Receive, Scope, Send


class Sized:
    """ASGI: gives a chunked request under /api/ its Content-Length.

    Django REST framework takes a body without a length for no body at all. What is read for it is
    bounded by DATA_UPLOAD_MAX_MEMORY_SIZE; a longer body is refused with 413.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope["headers"]}
        if b"transfer-encoding" in names and scope["path"].startswith("/api/"):
            body = await _read(receive)
            if body is None:
                return
            scope, receive = _with_length(scope, len(body)), _replayed(body, receive)
        await self.app(scope, receive, send)


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body; None when the client left before its end."""
    pieces, size = [], 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        pieces.append(event.get("body", b""))
        size += len(pieces[-1])
        if size > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise fault(413)
        if not event.get("more_body"):
            return b"".join(pieces)


def _with_length(scope: Scope, length: int) -> Scope:
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"transfer-encoding", b"content-length")
    ]
    return {**scope, "headers": [*kept, (b"content-length", str(length).encode())]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then what comes after it: the client's leaving."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> dict[str, object]:
        return first.pop() if first else dict(await receive())

    return replay
