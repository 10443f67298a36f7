from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from rest_framework.test import APIClient

from alchemyst.accounts.auth import asgi
from alchemyst.accounts.auth.asgi import BearerOrKeyHeader, RateLimited
from alchemyst.accounts.auth.authentication import authenticate_uncached
from alchemyst.accounts.auth.token_cache import cached_tokens
from alchemyst.accounts.limits import rate
from alchemyst.accounts.models import SCOPES, ApiKey, User
from alchemyst.errors import ErrorMiddleware
from alchemyst.logs import RequestIdMiddleware
from proxy.common.web.asgi import Receive, Scope, Send
from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    cached_tokens.forget()
    rate.clear()


@pytest.fixture
def anyone() -> APIClient:
    """A client without any token."""
    return APIClient()


@pytest.fixture
def bearing() -> Callable[[str], APIClient]:
    """Make a client that shows a token."""

    def client(token: str) -> APIClient:
        made = APIClient()
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return made

    return client


@pytest.fixture
def sign_in(anyone: APIClient) -> Callable[..., Any]:
    """Ask for a pair of tokens."""

    def ask(username: str = "alice", password: str = PASSWORD, **headers: str) -> Any:
        body = {"username": username, "password": password}
        return anyone.post("/api/v1/auth/token", body, format="json", **headers)

    return ask


@pytest.fixture
def make_key(alice: User) -> Callable[..., str]:
    """Make a key of Alice's and return its text."""

    def make(*scopes: str, **fields: Any) -> str:
        return ApiKey.make(alice, name="laptop", scopes=scopes or SCOPES, **fields)[1]

    return make


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set limits, such as `limited(login=(3, 60))`."""

    def limit(**rates: tuple[int, int]) -> None:
        monkeypatch.setattr(settings, "RATE_LIMITS", settings.RATE_LIMITS | rates)

    return limit


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: dict[str, Any]
    has_read_body: bool

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.body["error"]
        return error


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with who is calling, as the proxy would see it."""
    access = scope["access"]
    body = {"user": scope["user"].username, "relevance": access.relevance}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@pytest.fixture
def on_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Send a request with these headers through the proxy's layers, as `asgi.py` composes them."""
    # In the test's own thread, so that it sees the test's transaction.
    monkeypatch.setattr(asgi, "authenticate_on_thread", sync_to_async(authenticate_uncached))
    application = RequestIdMiddleware(
        ErrorMiddleware(BearerOrKeyHeader(RateLimited(who, limit="proxy"), scope="proxy"))
    )

    async def ask(*headers: tuple[bytes, bytes]) -> Answer:
        path = "/api/v1/proxy/default/chat/completions"
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost"), *headers],
        }
        sent: list[Any] = []
        has_read_body = False

        async def receive() -> dict[str, Any]:
            nonlocal has_read_body
            has_read_body = True
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        try:
            await application(scope, receive, send)
        finally:
            # The loop ends with this request.
            await rate.aclose()
        start, *pieces = sent
        body = json.loads(b"".join(piece["body"] for piece in pieces))
        return Answer(start["status"], dict(start["headers"]), body, has_read_body)

    return async_to_sync(ask)


def bearer(token: str) -> tuple[bytes, bytes]:
    return b"authorization", f"Bearer {token}".encode()
