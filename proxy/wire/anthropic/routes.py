"""Anthropic's Messages on the way: which paths they are, and how a key is shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from proxy.common import own_tokens
from proxy.common.errors import InvalidRequest
from proxy.common.web.asgi import Scope, header
from proxy.wire.dialect import Route

NAME: Final = "anthropic"
OWN_HOST: Final = "api.anthropic.com"
MESSAGES: Final = "messages"
COUNT: Final = "messages/count_tokens"
SUPPORTED: Final = (
    "Use POST /api/v1/proxy/{target}/v1/messages or /v1/messages/count_tokens, "
    "/v1/messages/batches, or with the header anthropic-version GET "
    "/api/v1/proxy/{target}/v1/models or /v1/files, where the target is "
    "https://api.anthropic.com."
)
_VERSION: Final = b"anthropic-version"
_KEY_HEADER: Final = b"x-api-key"
_MESSAGES: Final = r"(?P<name>messages(?:/count_tokens|/batches(?=/|$))?)(?P<rest>(?<=batches)/.+)?"
# Nobody else's, where the version stands before it.
_OWN: Final = re.compile(rf"/v1/{_MESSAGES}$")
# Where a base URL ends in a version and a key, or has no version, the endpoint alone follows.
_AFTER_KEY: Final = re.compile(rf"/{_MESSAGES}$")
# Others have these as well: the client's own header tells whose they are.
_OTHER: Final = re.compile(r"/v1/(?!v1/|sk-)(?P<other>[a-z][a-z_]{0,30})(?P<id>/.+)?$")
# What administers an organisation is none of a caller's.
_CLOSED: Final = "organizations"
_ID: Final = re.compile(r"(?:/[A-Za-z0-9._~%@!$&'()*+,;=:-]+)+")
_KEY_AFTER_VERSION: Final = re.compile(r"/v1(?P<key>/sk-[^/]+)$")
_OAUTH: Final = "sk-ant-oat"


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` speak Anthropic's dialect."""
    return _match(path, scope) is not None


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for: an answer, a count of tokens, or whatever else there is."""
    match = _match(path, scope)
    if not match:
        return None
    fields = match.groupdict("")
    name = fields.get("other") or fields["name"]
    id = fields.get("id") or fields.get("rest", "")
    is_path = not id or (_ID.fullmatch(id) and not {".", ".."} & set(unquote(id).split("/")))
    if not is_path or name == _CLOSED:
        return None
    # Some clients append the version to a base URL that has it.
    target = path[: match.start()].removesuffix("/v1")
    if match[0].startswith("/v1"):
        target = _KEY_AFTER_VERSION.sub(r"\g<key>", target)
    endpoint = f"{match[0]}{_query(scope)}"
    if name in (MESSAGES, COUNT):
        return Route(target, endpoint, name, is_filtered=name == MESSAGES)
    if name == "models":
        return Route(target, endpoint, name, "GET", model=unquote(id[1:]))
    return Route(target, endpoint, name, scope["method"])


def _match(path: str, scope: Scope) -> re.Match[str] | None:
    match = _OWN.search(path)
    if match or not _sends_version(scope):
        return match
    return _OTHER.search(path) or _AFTER_KEY.search(path)


def _sends_version(scope: Scope) -> bool:
    return any(name == _VERSION for name, _ in scope.get("headers", ()))


def _query(scope: Scope) -> str:
    """Return the query as it came."""
    query: str = scope.get("query_string", b"").decode("latin-1")
    if not query.isascii() or not query.isprintable() or " " in query:
        raise InvalidRequest("The query has characters that no URL may hold.")
    return f"?{query}" if query else ""


def key(scope: Scope) -> str | None:
    """Return the provider's key from its header; None: in the path."""
    key = header(scope, _KEY_HEADER)
    return None if not key or own_tokens.contains_one(key) else key


def credential(key: str) -> tuple[str, str]:
    """Return the header by which Anthropic is shown a key, or what a signed-in client has."""
    return ("Authorization", f"Bearer {key}") if key.startswith(_OAUTH) else ("x-api-key", key)
