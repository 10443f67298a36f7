"""The formats that callers speak, a package for each, and which path speaks which."""

from __future__ import annotations

from urllib.parse import quote

from proxy.common.web.asgi import Scope
from proxy.wire import anthropic, gemini, openai, responses
from proxy.wire.dialect import Dialect

PREFIX = "/api/v1/proxy/"

# Tried in this order; a path that none claims is OpenAI's.
DIALECTS: tuple[Dialect, ...] = (openai, responses, anthropic, gemini)


def named(name: str) -> Dialect:
    """Return the dialect that stored providers call `name`."""
    return next(dialect for dialect in DIALECTS if name == dialect.NAME)


def path_of(scope: Scope) -> str:
    """Return a request's path after the prefix, percent-encoded as it came."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(scope["path"])
    return path[len(PREFIX) :].rstrip("/")


def spoken_at(path: str, scope: Scope) -> Dialect:
    """Return the dialect that the callers of `path`, as `path_of` gives it, speak."""
    for dialect in DIALECTS:
        if dialect.claims(path, scope):
            return dialect
    return openai


def spoken_in(scope: Scope) -> Dialect | None:
    """Return the dialect that a request's caller speaks; None off the proxy."""
    if not scope["path"].startswith(PREFIX):
        return None
    return spoken_at(path_of(scope), scope)
