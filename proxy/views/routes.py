"""Which of the proxy's views answers a path: split while it is still percent-encoded.

Everything between the prefix and the endpoint is the target, which has slashes, schemes and keys
of its own, so no URL pattern of Django's describes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from proxy.errors import MethodNotAllowed, NotFound
from proxy.forward import Receive, Send
from proxy.views import openai
from proxy.wire import PREFIX

Scope = MutableMapping[str, Any]
View = Callable[[str, Scope, Receive, Send], Awaitable[None]]

# endpoint: (method, view)
ENDPOINTS: dict[str, tuple[str, View]] = {
    "chat/completions": ("POST", openai.completions),
    "models": ("GET", openai.models),
}


async def proxy_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever stands under /api/v1/proxy/; faults are raised for the layers outside."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(scope["path"])
    rest = path[len(PREFIX) :].rstrip("/")
    for endpoint, (method, view) in ENDPOINTS.items():
        if rest.endswith(f"/{endpoint}"):
            if scope["method"] != method:
                raise MethodNotAllowed(f"Use {method} here.", headers=(("allow", method),))
            await view(rest[: -len(endpoint) - 1], scope, receive, send)
            return
    raise NotFound(
        f"There is no such endpoint here. Use POST {PREFIX}{{target}}/chat/completions or "
        f"GET {PREFIX}{{target}}/models, where the target is https://api.openai.com/v1, or default."
    )
