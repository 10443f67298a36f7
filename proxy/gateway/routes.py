"""What becomes of a request under the proxy's path: its dialect and its route tell.

Everything between the prefix and the endpoint is the target, which has slashes, schemes and keys
of its own, so no URL pattern of Django's describes it.
"""

from __future__ import annotations

from proxy import wire
from proxy.common.web.asgi import Receive, Scope, Send, header
from proxy.errors import InvalidTarget, MethodNotAllowed, NotFound
from proxy.gateway import builtin, decision_records, flow, preview
from proxy.gateway.call import Call
from proxy.providers import lookup
from proxy.upstream import target
from proxy.upstream.endpoint import DEFAULT
from proxy.wire.dialect import Route


async def proxy_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever stands under /api/v1/proxy/; faults are raised for the layers outside."""
    path = wire.path_of(scope)
    if path.startswith(decision_records.PREFIX):
        await decision_records.send_record(path, scope, send)
        return
    target.refuse_own_tokens(path, scope["query_string"].decode("latin-1"))
    dialect = wire.spoken_at(path, scope)
    route = builtin.route(path) or dialect.route(preview.spelled_out(path), scope)
    if route is None:
        if b"/chat/completions" in scope["query_string"]:
            # A question mark in the target's URL ends the path: what follows it is no target.
            raise InvalidTarget("The target's URL may have no query.")
        raise NotFound(f"There is no such endpoint here. {dialect.SUPPORTED}")
    if scope["method"] != route.method:
        allowed = (("allow", route.method),)
        raise MethodNotAllowed(f"Use {route.method} here.", headers=allowed)
    route = _with_bare_name(route, scope)
    call = Call.begin(scope, dialect, route)
    if route.target == preview.NAME:
        await preview.send_preview(call, receive, send)
    else:
        answer = flow.handle_completion if route.is_filtered else flow.pass_through
        await flow.with_usage_row(answer, call, receive, send)


def _with_bare_name(route: Route, scope: Scope) -> Route:
    """Return a route whose target, if it is a name, has no version after it."""
    name = target.without_version(route.target)
    if name == route.target:
        return route
    # A key in a header goes to a host, which may have a name without dots.
    is_host = header(scope, b"x-upstream-api-key") is not None
    is_name = name in (DEFAULT, preview.NAME) or (lookup.is_provider_name(name) and not is_host)
    return route._replace(target=name) if is_name else route
