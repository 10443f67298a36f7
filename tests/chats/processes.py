"""Server processes of their own on one database, to be stopped, killed and talked to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import requests

from tests.fakes import FakeProvider

ROOT = Path(__file__).resolve().parents[2]
# Shown in the database by an installation's own means, since it is not the tests' database.
_PREPARE = """
import sys
from alchemyst.accounts.models import ApiKey, SCOPES, User
from personas.models import Persona
from proxy.models import Provider
alice = User.objects.create_user("alice")
persona, _ = Persona.objects.get_or_create(slug="maya", is_shared=True, defaults={"owner": alice})
for behaviour in ("hundred", "half-second", "well"):
    stored = Provider(owner=alice, name=behaviour, base_url=f"%s/{behaviour}/v1")
    stored.seal("sk-provider-of-maya-1")
    stored.save()
    slug = "maya" if behaviour == "well" else behaviour
    made, _ = Persona.objects.get_or_create(
        slug=slug, is_shared=True, defaults={"owner": alice})
    made.revise(name=slug, provider=stored, model="gpt-test", scopes=["internal"])
print(ApiKey.make(alice, name="key", scopes=SCOPES)[1])
"""
_LOOK = """
import json
from chats.models import Event, Generation, Message
print(json.dumps({
    "messages": [[m.role, m.content, str(m.chat_id)] for m in Message.objects.order_by("pk")],
    "states": [str(g.state) for g in Generation.objects.order_by("pk")],
    "events": Event.objects.count(),
}))
"""
_END_LEASES = """
from django.utils import timezone
from chats.models import Generation
Generation.objects.running().update(lease_until=timezone.now())
"""


class Process:
    """One server, under load or not."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        arguments = ["-m", "uvicorn", "alchemyst.asgi:application", "--port", str(port)]
        arguments += ["--http", "alchemyst.web.connections:ClockedProtocol"]
        quiet = ["--no-access-log", "--timeout-graceful-shutdown", "25"]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *arguments, *quiet],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=out,
            )

    def wait(self) -> None:
        end = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """End it, if it has not ended, and return its code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        return self.process.wait(30)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.RequestException:
            return False


class Installation:
    """One database with one user, and as many servers on it as a test wants."""

    def __init__(self, folder: Path, provider: FakeProvider, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "ALCHEMYST_DATA_DIR": str(folder / "data"),
            "ALCHEMYST_PROXY_ALLOWED_TARGETS": f"127.0.0.1:{provider.port}",
            "ALCHEMYST_RATE_CHAT": "0",
            "ALCHEMYST_RATE_API": "0",
            "ALCHEMYST_CHAT_MAX_RUNNING": "1000",
            "PYTHONUNBUFFERED": "1",
        } | environment
        self.manage("migrate", "--verbosity", "0")
        self.key = self.shell(_PREPARE % provider.url).split()[-1]

    def manage(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shell(self, code: str) -> str:
        return self.manage("shell", "--no-imports", "-c", code)

    def look(self) -> str:
        """What stands in the database, as JSON."""
        return self.shell(_LOOK).splitlines()[-1]

    def empty(self) -> None:
        """Take all chats away."""
        self.shell("from chats.models import Chat; Chat.objects.all().delete()")

    def let_leases_end(self) -> None:
        """Have the leases of whoever was killed be over."""
        self.shell(_END_LEASES)

    @contextmanager
    def servers(self, count: int, **environment: str) -> Iterator[list[Process]]:
        environment = self.environment | environment
        made = [Process(environment, self.folder / "log") for _ in range(count)]
        try:
            for each in made:
                each.wait()
            yield made
        finally:
            for each in made:
                each.end()

    def http(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {self.key}"
        return session


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """An empty database of the kind that the suite runs on, and Redis where it does."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        yield {}
        return
    name = f"alchemyst_{os.getpid()}_{int(time.time() * 1000)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            own = {"DATABASE_URL": urlunsplit(urlsplit(url)._replace(path=f"/{name}"))}
            if redis_url := os.environ.get("REDIS_URL"):
                own["REDIS_URL"] = redis_url
            yield own
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
