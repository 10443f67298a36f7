"""The chats' endpoints that wait for a model or stream: which path leads where.

They stand beside Django's request handler; `claims` says which requests are theirs.
"""

from __future__ import annotations

import re

from chats.streaming import generate
from chats.streaming.generate import Call, Endpoint
from proxy.common.web.asgi import ClientDisconnected, Receive, Scope, Send
from proxy.errors import MethodNotAllowed

PREFIX = "/api/v1/chat"
ENDPOINTS: list[tuple[str, str, Endpoint]] = [
    ("", "POST", generate.answered),
    ("/generate", "POST", generate.generated),
    ("/generate/stream", "POST", generate.streamed),
    ("/replay/([^/]+)", "GET", generate.replayed),
    ("/replay/([^/]+)/stop", "POST", generate.stopped),
    ("/([^/]+)/regenerate", "POST", generate.regenerated),
    ("/([^/]+)/continue", "POST", generate.continued),
]
_ROUTES = [
    (re.compile(re.escape(PREFIX) + path + "/?"), method, endpoint)
    for path, method, endpoint in ENDPOINTS
]


def claims(path: str) -> bool:
    """Whether a path is served here."""
    return path.startswith(PREFIX) and any(route.fullmatch(path) for route, _, _ in _ROUTES)


def asks_a_model(path: str) -> bool:
    """Whether what a claimed path asks for is an answer, rather than a look at one."""
    return "/replay/" not in path


async def chat_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a claimed path; faults are raised for the layers outside."""
    for route, method, endpoint in _ROUTES:
        if match := route.fullmatch(scope["path"]):
            if scope["method"] != method:
                raise MethodNotAllowed(f"Use {method} here.", headers=(("allow", method),))
            try:
                await endpoint(Call(scope, receive, send), *match.groups())
            except ClientDisconnected:
                # Nobody is left to answer.
                return
            return
