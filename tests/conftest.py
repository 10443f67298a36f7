"""What the tests share: the application served by uvicorn, a provider on loopback, two people."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
import requests
import uvicorn
from django.test import Client, override_settings
from rest_framework.test import APIClient

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import User
from chats.answers.runner import runner
from personas.models import Persona, PersonaVersion
from proxy.accounting import decision_writer, usage_writer
from proxy.filtering import kill_switch
from proxy.meaning import store, weights
from proxy.meaning.minilm import MiniLM
from proxy.models import DecisionRecord, FilterSwitch
from tests import anthropic, faults, gemini, nginx, responses
from tests.chats import behaviours
from tests.fakes import BEHAVIOURS, FakeProvider

pytest_plugins = ["tests.quick"]

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "correct-horse-battery"


# Fixtures that start processes, servers or browsers.
SLOW_FIXTURES = {"browser", "node", "start", "own_redis", "installation", "front", "broker"}


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to try every test again: whatever is tried again is marked, with its reason."""
    if config.getoption("reruns", None):
        raise pytest.UsageError("no --reruns: mark the test flaky(reruns=..., reason=...)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is slow by its kind; behind nginx, run what goes through the server.

    But for what nginx rightly changes. First, since `-m` chooses by the marks.
    """
    for item in items:
        starts_something = SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
        # Hypothesis runs a hundred examples of each.
        is_a_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if starts_something or is_a_property:
            item.add_marker(pytest.mark.slow)
    if not nginx.BEHIND:
        return
    served = [item for item in items if "server" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in served])
    items[:] = served
    for item in served:
        for mark in item.iter_markers("not_behind"):
            if nginx.BEHIND in mark.args:
                item.add_marker(pytest.mark.skip(reason=mark.kwargs["reason"]))


@pytest.fixture(scope="session")
def the_provider() -> Iterator[FakeProvider]:
    provider = FakeProvider(
        behaviours=BEHAVIOURS
        | faults.FAULTS
        | gemini.BEHAVIOURS
        | anthropic.BEHAVIOURS
        | responses.BEHAVIOURS
        | behaviours.ALL
    )
    provider.start()
    with override_settings(PROXY_ALLOWED_TARGETS=[f"127.0.0.1:{provider.port}"]):
        yield provider
    provider.stop()


@pytest.fixture
def provider(the_provider: FakeProvider) -> Iterator[FakeProvider]:
    """A provider on loopback that the operator allows, with nothing received yet.

    A test may give it behaviours of its own, which end with the test.
    """
    the_provider.received.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(the_provider, "behaviours", dict(the_provider.behaviours))
        yield the_provider


class Server(uvicorn.Server):
    """The application in a thread of this process, on a free port."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        super().__init__(
            uvicorn.Config(
                "alchemyst.asgi:application",
                http="alchemyst.web.connections:ClockedProtocol",
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

    def rest(self) -> None:
        """End what a test left under way, which would meet the next one's database."""
        asyncio.run_coroutine_threadsafe(self._rested(), self.loop).result(20)

    def write_usage(self) -> None:
        """Have the rows written that wait in memory."""
        asyncio.run_coroutine_threadsafe(usage_writer.queue.close(), self.loop).result(10)

    async def _rested(self) -> None:
        # What has arrived last is read at the loop's next look.
        for _ in range(2):
            await asyncio.sleep(0)
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=3)
        answers = runner()
        await answers.drain(0)
        answers.is_draining = False

    def begin(self) -> None:
        self.thread.start()
        end = time.monotonic() + 90
        while not self.started:
            assert self.thread.is_alive(), "the server ended at once"
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.02)

    def end(self) -> None:
        self.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="session")
def the_server(the_provider: FakeProvider, django_db_setup: None) -> Iterator[Server]:
    server = Server()
    server.begin()
    yield server
    server.end()


@pytest.fixture(scope="session")
def the_front(
    the_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[nginx.Nginx | None]:
    """The nginx that the tests go through, where they do."""
    if not nginx.BEHIND:
        yield None
        return
    front = nginx.Nginx(nginx.BEHIND, the_server.url, tmp_path_factory.mktemp("nginx"))
    yield front
    front.end()


@pytest.fixture
def server(
    the_server: Server, the_front: nginx.Nginx | None, transactional_db: None
) -> Iterator[str]:
    """The URL of the application, served by uvicorn as `make run` does."""
    yield the_front.url if the_front else the_server.url
    the_server.rest()
    the_server.write_usage()


@pytest.fixture(autouse=True)
def nothing_expires_by_the_way() -> None:
    """No old row of a test goes because the writers have not looked for such rows for a while."""
    for writer in (usage_writer, decision_writer, store):
        writer.expiry.restart()


@pytest.fixture(scope="session")
def made() -> Path:
    """The encoder's weights, as `make setup` leaves them; made now where it was not called."""
    return weights.make(ROOT / "var" / "encoder")


@pytest.fixture(scope="session")
def minilm(made: Path) -> MiniLM:
    """The encoder itself."""
    return MiniLM(made)


@pytest.fixture
def filter_on_again(db: None) -> Iterator[None]:
    """Whatever a test does with the filter's switch, the next one finds it on."""
    yield
    # The row first: the server, which looks once a second, would read it once more.
    FilterSwitch.objects.update(is_off=False)
    kill_switch._is_active, kill_switch._read_at = False, float("-inf")


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", password=PASSWORD)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password=PASSWORD)


@pytest.fixture
def shipped(db: None) -> None:
    """The personas that a migration made, which a flush of the database takes away."""
    import_module("personas.migrations.0003_shipped").make(Persona, PersonaVersion)


@pytest.fixture
def token(alice: User) -> str:
    """Alice's access token."""
    return issue(alice).access


@pytest.fixture
def as_alice(alice: User, token: str) -> APIClient:
    return _bearing(token)


@pytest.fixture
def as_bob(bob: User) -> APIClient:
    return _bearing(issue(bob).access)


@pytest.fixture
def alices(alice: User) -> Client:
    """A browser in which Alice is signed in."""
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def bobs(bob: User) -> Client:
    """A browser in which Bob is signed in."""
    client = Client()
    client.force_login(bob)
    return client


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


@pytest.fixture
def decision(alice: User) -> DecisionRecord:
    """What the filter did to a request of Alice's, with its texts."""
    kept = [
        {"index": 0, "role": "user", "fate": "dropped", "reason": "below threshold",
         "score": 0.09, "tokens": 10, "digest": "d0", "text": "a secret of Paris"},
        {"index": 1, "role": "user", "fate": "protected", "reason": "current turn",
         "score": None, "tokens": 14, "digest": "d1", "text": "How does bread rise?"},
    ]  # fmt: skip
    return DecisionRecord.objects.create(
        request_id="req_1", owner=alice, created=datetime.now(UTC), mode="strict",
        result="filtered", messages_before=2, messages_after=1, tokens_before=24,
        tokens_after=14, milliseconds=1, packed=zlib.compress(json.dumps(kept).encode()),
    )  # fmt: skip
