"""OpenAI's chat completions on the way: which paths they are, and how a key is shown."""

from __future__ import annotations

from typing import Final

from proxy.common.web.asgi import Scope, query_of
from proxy.wire.dialect import Route

COMPLETIONS: Final = "chat/completions"
NAME = "openai"
OWN_HOST = "api.openai.com"
SUPPORTED = (
    "Use POST /api/v1/proxy/{target}/chat/completions, GET /api/v1/proxy/{target}/models or any "
    "other path of the provider's, where the target is https://api.openai.com/v1; default has "
    "these two alone."
)
# endpoint: (method, whether its body holds a conversation)
ENDPOINTS = {COMPLETIONS: ("POST", True), "models": ("GET", False)}


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` speak this dialect for certain; lists of models others have."""
    return path.endswith("/chat/completions")


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for."""
    query = query_of(scope)
    for endpoint, (method, is_filtered) in ENDPOINTS.items():
        if path.endswith(f"/{endpoint}"):
            target = path[: -len(endpoint) - 1]
            path_up = f"/{endpoint}?{query}" if query else f"/{endpoint}"
            return Route(target, path_up, endpoint, method, is_filtered)
    return None


def key(scope: Scope) -> str | None:
    """Return None: the provider's key is the last segment of the path."""
    return None


def credential(key: str) -> tuple[str, str]:
    """Return the header by which the provider is shown its key."""
    return "Authorization", f"Bearer {key}"
