"""What the tests share: the application served by uvicorn, a provider on loopback, two people."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests
import uvicorn
from django.conf import settings
from rest_framework.test import APIClient

from alchemyst.accounts.models import User
from alchemyst.accounts.tokens import issued_to
from proxy import usage
from tests.fakes import FakeProvider

PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="session")
def the_provider() -> Iterator[FakeProvider]:
    provider = FakeProvider()
    provider.start()
    settings.PROXY_ALLOWED_TARGETS = [f"127.0.0.1:{provider.port}"]
    yield provider
    provider.stop()


@pytest.fixture
def provider(the_provider: FakeProvider) -> FakeProvider:
    """A provider on loopback that the operator allows, with nothing received yet."""
    the_provider.received.clear()
    return the_provider


class Server(uvicorn.Server):
    """The application in a thread of this process, on a free port."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        super().__init__(
            uvicorn.Config(
                "alchemyst.asgi:application",
                log_level="warning",
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=1,
            )
        )
        self.thread = threading.Thread(target=self.run, args=([self.socket],), daemon=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def write_usage(self) -> None:
        """Have the rows written that wait in memory."""
        asyncio.run_coroutine_threadsafe(usage.close(), self.loop).result(10)

    def begin(self) -> None:
        self.thread.start()
        end = time.monotonic() + 30
        while not self.started:
            assert self.thread.is_alive(), "the server ended at once"
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.02)

    def end(self) -> None:
        self.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="session")
def the_server(the_provider: FakeProvider) -> Iterator[Server]:
    server = Server()
    server.begin()
    yield server
    server.end()


@pytest.fixture
def server(the_server: Server, transactional_db: None) -> Iterator[str]:
    """The URL of the application, served by uvicorn as `make run` does."""
    yield the_server.url
    the_server.write_usage()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", password=PASSWORD)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password=PASSWORD)


@pytest.fixture
def token(alice: User) -> str:
    """Alice's access token."""
    return issued_to(alice).access


@pytest.fixture
def as_alice(alice: User, token: str) -> APIClient:
    return _bearing(token)


@pytest.fixture
def as_bob(bob: User) -> APIClient:
    return _bearing(issued_to(bob).access)


def _bearing(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


@pytest.fixture
def http(token: str) -> Iterator[requests.Session]:
    """An HTTP client that shows Alice's token."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        yield session
