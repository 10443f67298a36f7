"""Which pages of other sites may call the proxy's path from a browser, and read its answers."""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings

from proxy.common.web.asgi import App, Message, Receive, Scope, Send, header

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# For so long a browser need not ask again, in seconds: as long as browsers take it for at most.
MAX_AGE = b"7200"
Headers = list[tuple[bytes, bytes]]


class CrossOriginMiddleware:
    """ASGI: answers preflights of the listed origins, and lets them read every answer.

    Callers show their token in a header, so no cookie is ever asked for.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = _allowed(scope)
        if not allowed:
            await self.app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and _is_preflight(scope):
            await _send_permission(scope, send, allowed)
        else:
            await self.app(scope, receive, _with_headers(send, allowed))


def _allowed(scope: Scope) -> Headers:
    """Return the headers that every answer to a listed origin has."""
    if not settings.PROXY_CORS_ORIGINS:
        return []
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    if len(origins) != 1 or origins[0].decode("latin-1") not in settings.PROXY_CORS_ORIGINS:
        return []
    return [(b"access-control-allow-origin", origins[0]), (b"vary", b"origin")]


def _is_preflight(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


async def _send_permission(scope: Scope, send: Send, allowed: Headers) -> None:
    wanted = header(scope, b"access-control-request-headers") or "authorization, content-type"
    headers = [
        *allowed,
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", wanted.encode("latin-1")),
        (b"access-control-max-age", MAX_AGE),
    ]
    status = HTTPStatus.NO_CONTENT
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _with_headers(send: Send, allowed: Headers) -> Send:
    async def send_with_headers(event: Message) -> None:
        if event["type"] == "http.response.start":
            readable = (b"access-control-expose-headers", b"*")
            event = {**event, "headers": [*event["headers"], *allowed, readable]}
        await send(event)

    return send_with_headers
