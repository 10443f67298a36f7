"""How long a body outside the proxy may be, checked before it is read."""

from __future__ import annotations

from django.conf import settings

from alchemyst.errors import api_error
from proxy.common.web.asgi import (
    App,
    ClientDisconnected,
    Receive,
    Scope,
    Send,
    read_body,
    with_headers,
)

IMPORTS = "/api/v1/chat/import"


class BodyLimitMiddleware:
    """ASGI: refuses what is too long under /api/, and gives a chunked request its Content-Length.

    Django keeps a whole body on disk before it checks it, and Django REST framework takes a body
    without a length for no body at all. A body may have DATA_UPLOAD_MAX_MEMORY_SIZE bytes; a file
    to import, whose length must be given, CHAT_IMPORT_MAX_BODY.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"transfer-encoding" in headers:
            try:
                body = await read_body(scope, receive, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
            except ClientDisconnected:
                return
            scope, receive = _with_length(scope, len(body)), _replayed(body, receive)
        elif _content_length(headers) > _max_length(scope["path"]):
            raise api_error(413, headers=(("connection", "close"),))
        await self.app(scope, receive, send)


def _content_length(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _max_length(path: str) -> int:
    if path.rstrip("/") == IMPORTS:
        return settings.CHAT_IMPORT_MAX_BODY
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def _with_length(scope: Scope, length: int) -> Scope:
    others = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"transfer-encoding", b"content-length")
    ]
    return with_headers(scope, [*others, (b"content-length", str(length).encode())])


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then what comes after it: the client's leaving."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> dict[str, object]:
        return first.pop() if first else dict(await receive())

    return replay
