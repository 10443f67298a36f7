from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from alchemyst import asgi
from alchemyst.accounts import limits
from alchemyst.accounts.memory import memory
from alchemyst.accounts.models import SCOPES, ApiKey, User
from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    memory.forget()
    limits.clear()


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
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


@pytest.fixture
def on_proxy() -> Callable[..., Awaitable[Answer]]:
    """Ask the composed ASGI application for the built-in model's list, with these headers."""

    async def ask(*headers: tuple[bytes, bytes], path: str = "/api/v1/proxy/default/models") -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            # The client stays, and sends nothing.
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(10):
            await asgi.application(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), body)

    return ask
