"""Paths that no dialect knows: where the provider ends in them, and what it is asked for.

With the provider's key in a header, its host is the target and all the rest the endpoint. A key in
the path stands beside a version if it looks like one, else right before the first name of a
resource that is known.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from proxy.common.percent import fully_unquoted
from proxy.common.web import key_headers
from proxy.common.web.asgi import Scope, header, query_of
from proxy.errors import InvalidTarget, MethodNotAllowed, TargetNotAllowed
from proxy.options import options
from proxy.providers import lookup
from proxy.upstream import target
from proxy.upstream.endpoint import DEFAULT
from proxy.wire import PREFIX, resources
from proxy.wire.dialect import Dialect, Route

# Not TRACE, which repeats the key, nor CONNECT.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SCHEME = re.compile(r"https?(?::|%3A)(?:/|%2F)+", re.IGNORECASE)
# Some clients append a version to a URL that has one.
_DOUBLED = re.compile(rf"(/{target.VERSION.pattern})\1(?=/|$)", re.IGNORECASE)
_KEY = re.compile(r"sk-.+|.{20,}")
# Whatever ends the name: servers differ in what they make of a semicolon, a space or a NUL.
_ADMINISTRATION = re.compile(
    rf"(?:^|[/\\]{target.VERSION.pattern})[/\\]+organizations?(?![\w-])", re.IGNORECASE
)


def route(path: str, dialect: Dialect, scope: Scope) -> Route | None:
    """Return what `path`, percent-encoded as it came, asks for; None where it names no endpoint.

    Raises InvalidTarget.
    """
    upstream_key = header(scope, b"x-upstream-api-key")
    name, _, rest = path.partition("/")
    if lookup.is_provider_name(name) and (upstream_key is None or name == DEFAULT):
        if not rest:
            return None
        base, endpoint = name, f"/{rest}"
    else:
        origin, endpoint = _split(path)
        if not endpoint and "." not in origin and not _SCHEME.match(path):
            return None
        base = origin
        if not (upstream_key or _shows_key(dialect, scope)):
            base, endpoint = _with_key(origin, endpoint)
    segments = endpoint.split("/")
    query = query_of(scope)
    ending = "/" if _ends_with_slash(scope) and endpoint else ""
    return Route(
        base,
        f"{endpoint}{ending}{'?' if query else ''}{query}",
        resources.name_of(segments),
        scope["method"],
        model=resources.model_of(segments),
        is_known=False,
    )


def _shows_key(dialect: Dialect, scope: Scope) -> bool:
    """Whether the provider's key stands in a header for keys, or in the query."""
    own_way, _ = dialect.credential("")
    return bool(key_headers.providers_in(scope, own_way) or dialect.key(scope))


def check(route: Route) -> None:
    """Refuse what no provider may be asked for.

    Raises MethodNotAllowed, and InvalidTarget for a path that leads elsewhere than it says.
    """
    if route.method not in METHODS:
        raise MethodNotAllowed("Nobody serves this.", headers=(("allow", ", ".join(METHODS)),))
    path = route.endpoint.partition("?")[0]
    if not path.isascii() or not path.isprintable() or " " in path:
        raise InvalidTarget("The path has characters that no URL may hold.")
    if {".", ".."} & set(re.split(r"[/\\]", fully_unquoted(path))):
        raise InvalidTarget("The path may have no '.' or '..' in it.")


def check_administration(path: str) -> None:
    """Raise TargetNotAllowed for a path of a provider's administration, unless they are open."""
    bare = fully_unquoted(path.partition("?")[0])
    if not options().admin_paths and _ADMINISTRATION.search(bare):
        raise TargetNotAllowed(
            "Paths by which a provider's organization is administered are closed here. "
            "The operator opens them by ALCHEMYST_PROXY_ADMIN_PATHS."
        )


def _split(path: str) -> tuple[str, str]:
    """Return a URL's origin and its path; a target may come encoded up to its first slash."""
    match = _SCHEME.match(path)
    scheme, rest = (match[0], path[match.end() :]) if match else ("", path)
    first, slash, tail = rest.partition("/")
    host, encoded_slash, base_path = unquote(first).partition("/")
    if encoded_slash:
        base_path = "/" + quote(base_path, safe=target.PATH_SAFE)
    whole = f"{base_path}{slash}{tail}"
    return unquote(scheme) + host, _DOUBLED.sub(r"\1", whole, count=1)


def _with_key(origin: str, path: str) -> tuple[str, str]:
    """Return the target of a path that holds the key: up to the key; and what follows it."""
    segments = path.split("/")[1:]
    place = _place_of_key(segments)
    if place is None:
        raise InvalidTarget(target.KEY_IS_MISSING)
    base = "/".join([origin, *segments[: place + 1]])
    rest = "".join(f"/{segment}" for segment in segments[place + 1 :])
    return base, rest


def _place_of_key(segments: list[str]) -> int | None:
    for place, segment in enumerate(segments):
        beside = segments[max(place - 1, 0) : place] + segments[place + 1 : place + 2]
        if _KEY.fullmatch(segment) and any(map(target.VERSION.fullmatch, beside)):
            return place
    first = next((at for at, each in enumerate(segments) if resources.is_resource(each)), 0)
    if not first or target.VERSION.fullmatch(segments[first - 1]):
        return None
    return first - 1


def _ends_with_slash(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.endswith("/") and path != PREFIX
