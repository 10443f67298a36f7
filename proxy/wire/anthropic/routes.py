"""Anthropic's Messages on the way: which paths they are, and how a key is shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from proxy.common.web.asgi import Scope, header_names, query_of
from proxy.wire.dialect import Route

NAME: Final = "anthropic"
OWN_HOST: Final = "api.anthropic.com"
MESSAGES: Final = "messages"
COUNT: Final = "messages/count_tokens"
MODELS: Final = "models"
SUPPORTED: Final = (
    "Use POST /api/v1/proxy/{target}/v1/messages or /v1/messages/count_tokens, "
    "or with the header anthropic-version any other path of the provider's, where the target is "
    "https://api.anthropic.com."
)
_VERSION: Final = b"anthropic-version"
# Nobody else's, where the version stands before it.
_OWN: Final = re.compile(r"(?P<end>/v1/(?P<name>messages(?:/count_tokens)?))$")
_BATCHES: Final = re.compile(r"/v1/messages/batches(?:/|$)")
# Where a base URL ends in a version and a key, or has no version, the endpoint alone follows.
_ALONE: Final = re.compile(
    r"(?:^(?:(?!/v1/).)+|(?<=/v1)/(?:sk-[^/]+|[^/]{20,}))(?P<end>/(?P<name>messages(?:/count_tokens)?))$"
)
# Others have this as well: the client's own header tells whose it is.
_MODELS: Final = re.compile(
    r"(?P<end>/v1/(?P<name>models)(?P<id>/(?!\.{1,2}$)[A-Za-z0-9._~%@:-]+)?)$"
)
_KEY_AFTER_VERSION: Final = re.compile(r"/v1(?P<key>/sk-[^/]+)$")
_OAUTH: Final = "sk-ant-oat"


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` speak Anthropic's dialect."""
    return _sends_version(scope) or bool(_OWN.search(path) or _BATCHES.search(path))


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for: an answer, a count of tokens, models; None for all else."""
    match = _match(path, scope)
    if not match:
        return None
    name, id, end = match["name"], match.groupdict("").get("id", ""), match["end"]
    # Some clients append the version to a base URL that has it.
    target = path[: match.start("end")].removesuffix("/v1")
    if end.startswith("/v1"):
        target = _KEY_AFTER_VERSION.sub(r"\g<key>", target)
    query = query_of(scope)
    endpoint = f"{end}?{query}" if query else end
    method = "GET" if name == MODELS else "POST"
    return Route(target, endpoint, name, method, name == MESSAGES, unquote(id[1:]))


def _match(path: str, scope: Scope) -> re.Match[str] | None:
    match = _OWN.search(path)
    if match or not _sends_version(scope):
        return match
    return _MODELS.search(path) or _ALONE.search(path)


def _sends_version(scope: Scope) -> bool:
    return _VERSION in header_names(scope)


def key(scope: Scope) -> None:
    """Return None: the provider's key is the last segment of the path."""


def credential(key: str) -> tuple[str, str]:
    """Return the header by which Anthropic is shown a key, or what a signed-in client has."""
    return ("Authorization", f"Bearer {key}") if key.startswith(_OAUTH) else ("x-api-key", key)
