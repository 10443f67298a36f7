"""What becomes of a request under the proxy's path: its dialect and its route tell.

Everything between the prefix and the endpoint is the target, which has slashes, schemes and keys
of its own, so no URL pattern of Django's describes it.
"""

from __future__ import annotations

import re

from proxy import wire
from proxy.common.web.asgi import Receive, Scope, Send, header, header_names
from proxy.errors import InvalidTarget, MethodNotAllowed, NotFound, UpgradeRefused
from proxy.gateway import any_endpoint, decision_records, flow, preview
from proxy.gateway.call import Call
from proxy.providers import lookup
from proxy.upstream import target
from proxy.upstream.endpoint import DEFAULT
from proxy.wire.dialect import Dialect, Route

_PROTOCOL = re.compile(r"\s*websocket\b", re.IGNORECASE)


async def refuse_upgrade(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a WebSocket's handshake with 426; with 403 where the server can send nothing else."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    error = UpgradeRefused()
    body = wire.spoken_at(wire.path_of(scope), scope).error(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"x-alchemyst-error-source", b"proxy"),
        *((name.encode(), value.encode()) for name, value in error.headers),
    ]
    start = {"type": "websocket.http.response.start", "status": error.status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})


async def proxy_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever stands under /api/v1/proxy/; faults are raised for the layers outside."""
    path = wire.path_of(scope)
    if path.startswith(decision_records.PREFIX):
        await decision_records.send_record(path, scope, send)
        return
    target.refuse_own_tokens(path, scope["query_string"].decode("latin-1"))
    if _is_handshake(scope):
        raise UpgradeRefused
    dialect = wire.spoken_at(path, scope)
    route = _known_route(path, dialect, scope) or _other_route(path, dialect, scope)
    call = Call.begin(scope, dialect, route)
    if route.target == preview.NAME:
        await preview.send_preview(call, receive, send)
    else:
        any_endpoint.check(route)
        answer = flow.handle_completion if route.is_filtered else flow.pass_through
        await flow.with_usage_row(answer, call, receive, send)


def _is_handshake(scope: Scope) -> bool:
    """Whether a request asks for a WebSocket; a proxy in front may have kept Upgrade to itself."""
    names = header_names(scope)
    if b"sec-websocket-key" in names:
        return True
    return b"upgrade" in names and _PROTOCOL.match(header(scope, b"upgrade") or "") is not None


def _known_route(path: str, dialect: Dialect, scope: Scope) -> Route | None:
    """Return what the dialect knows of a path; None for another method of a provider's."""
    route = dialect.route(preview.spelled_out(path), scope)
    if route is None:
        return None
    route = _with_bare_name(route, scope)
    if scope["method"] == route.method:
        return route
    if route.target in (DEFAULT, preview.NAME):
        allowed = (("allow", route.method),)
        raise MethodNotAllowed(f"Use {route.method} here.", headers=allowed)
    return None


def _other_route(path: str, dialect: Dialect, scope: Scope) -> Route:
    """Return the route of what goes up as it came; raises NotFound where no target is named."""
    if b"/chat/completions" in scope["query_string"]:
        # A question mark in the target's URL ends the path: what follows it is no target.
        raise InvalidTarget("The target's URL may have no query.")
    route = any_endpoint.route(path, dialect, scope)
    if route is None:
        raise NotFound(f"There is no such endpoint here. {dialect.SUPPORTED}")
    return route


def _with_bare_name(route: Route, scope: Scope) -> Route:
    """Return a route whose target, if it is a name, has no version after it."""
    name = target.without_version(route.target)
    if name == route.target:
        return route
    # A key in a header goes to a host, which may have a name without dots.
    is_host = b"x-upstream-api-key" in header_names(scope)
    is_name = name in (DEFAULT, preview.NAME) or (lookup.is_provider_name(name) and not is_host)
    return route._replace(target=name) if is_name else route
