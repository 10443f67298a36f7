"""What the Dockerfile makes, started as compose.yaml says: read-only, without rights, as its user.

PostgreSQL and Redis are this machine's, where they answer; else it runs on its embedded defaults,
and there is no worker.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
import requests

from tests.bare import compose, dockerfile
from tests.bare.conftest import clone, wait_until
from tests.bare.dockerfile import Image
from tests.bare.root import Root, Surroundings, first_process, stop

POSTGRES = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
# Not the one of other tests: its worker would take their tasks.
OWN_REDIS = urlsplit(REDIS)._replace(path="/8").geturl()
# As the reverse proxy says who asks, and by what.
IN_FRONT = {"Host": "localhost", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}


@dataclass(frozen=True)
class Container:
    """The image with a service's settings; the port that it exposes is a free one of this machine,
    whose network it shares."""

    image: Image
    service: compose.Service
    around: Surroundings
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, command: list[str]) -> list[str]:
        return [word.replace(self.image.port, str(self.port)) for word in command]

    def output(self, *command: str) -> str:
        """Return what a command prints that is run beside it, with the same settings."""
        return self.image.root.output(command, self.around)

    def is_healthy(self) -> bool:
        check = self.command(self.image.health_check)
        return self.image.root.run(check, self.around).returncode == 0


@pytest.fixture(scope="module")
def repository(scratch: Path) -> Path:
    folder = scratch / "clone"
    clone(folder)
    return folder


@pytest.fixture(scope="module")
def image(repository: Path, base: Root, scratch: Path) -> Image:
    return dockerfile.build(repository, base, scratch)


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, str]]:
    """Where a database of its own and Redis are, if they answer."""
    with database() as url:
        yield {"DATABASE_URL": url, "REDIS_URL": OWN_REDIS} if url and has_redis() else {}


@contextmanager
def database() -> Iterator[str]:
    """Make a database on this machine's server; yield its URL, or nothing where none answers."""
    name = f"alchemyst_bare_{os.getpid()}"
    try:
        server = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=2)
    except psycopg.Error:
        yield ""
        return
    with server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def has_redis() -> bool:
    try:
        with redis.Redis.from_url(OWN_REDIS, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture(scope="module")
def container(
    image: Image, repository: Path, services: dict[str, str], scratch: Path, port: int
) -> Container:
    """The service `web`, migrated."""
    web = compose.service(repository, "web")
    environment = {**image.environment, **web.environment}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name)
    around = Surroundings(
        user=image.user,
        folder=image.folder,
        environment=environment | services,
        is_read_only=web.is_read_only,
        is_without_rights=web.is_without_rights,
        tmpfs=web.tmpfs,
        volumes=_volumes(image, web, scratch),
    )
    container = Container(image, web, around, port)
    container.output("python", "manage.py", "migrate", "--noinput")
    return container


def _volumes(image: Image, service: compose.Service, scratch: Path) -> dict[str, Path]:
    """Make the volumes, each with what the image has in its place, and its owner."""
    assert set(service.volumes) == set(image.volumes)
    return {
        place: Root(image.root.inside(place)).copy(scratch / f"volume-{Path(place).name}").path
        for place in service.volumes
    }


@pytest.fixture(scope="module")
def client(container: Container) -> requests.Session:
    """Who has the key that `welcome` made, and comes through the reverse proxy."""
    (key,) = re.findall(
        r"^  API key +(\S+)$", container.output("python", "manage.py", "welcome"), re.M
    )
    client = requests.Session()
    client.headers.update({**IN_FRONT, "Authorization": f"Bearer {key}"})
    return client


@pytest.fixture(scope="module")
def web(
    container: Container, client: requests.Session, scratch: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The running service, healthy."""
    path, command = scratch / "web.log", container.command(container.image.command)
    with (
        path.open("wb") as log,
        container.image.root.running(command, container.around, log) as process,
    ):
        wait_until(container.is_healthy, process, path)
        yield process


@pytest.mark.usefixtures("web")
class TestAService:
    def test_is_ready(self, container: Container):
        ready = requests.get(f"{container.url}/readyz", headers=IN_FRONT, timeout=10)

        assert ready.status_code == 200

    def test_answers_by_the_built_in_model(self, container: Container, client: requests.Session):
        body = {
            "model": "alchemyst-ai/alchemyst-c1",
            "messages": [{"role": "user", "content": "Hello!"}],
            "max_tokens": 20,
        }

        answer = client.post(
            f"{container.url}/api/v1/proxy/default/chat/completions", json=body, timeout=300
        )

        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"]

    def test_answers_in_a_chat(self, container: Container, client: requests.Session):
        body = {"chat_history": [{"role": "user", "content": "Hello!"}], "persona": "maya"}

        answer = client.post(f"{container.url}/api/v1/chat/generate", json=body, timeout=300)

        assert answer.status_code == 201, answer.text
        assert answer.json()["result"]["message"]

    def test_has_no_rights(self, web: subprocess.Popen[bytes]):
        status = Path(f"/proc/{first_process(web)}/status").read_text(encoding="ascii")

        assert re.search(r"^Uid:\s+10001\s+10001\s+10001\s+10001$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd"):
            assert re.search(rf"^{kind}:\s+0+$", status, re.MULTILINE)

    def test_writes_where_it_keeps_its_data_alone(self, container: Container):
        places = "for place in /app /venv /etc /data; do test -w $place && echo $place; done; true"

        assert container.output("sh", "-c", places).split() == ["/data"]

    def test_ends_in_time_when_it_is_stopped(
        self, container: Container, web: subprocess.Popen[bytes]
    ):
        assert stop(web, seconds=container.service.grace_seconds) == 0


class TestAnImage:
    def test_leaves_out_what_no_server_needs(self, image: Image):
        kept = {path.name for path in image.root.inside("/app").iterdir()}

        assert {"manage.py", "staticfiles"} <= kept
        assert kept.isdisjoint({".git", "tests", "docs", "var"})


class TestAWorker:
    def test_answers_and_ends_in_time_when_it_is_stopped(
        self, container: Container, services: dict[str, str], repository: Path, scratch: Path
    ):
        if not services:
            pytest.skip("PostgreSQL and Redis do not answer")
        command = compose.service(repository, "worker").settings["command"].split()
        ping = ["celery", "-A", "alchemyst", "inspect", "ping", "--timeout", "5"]
        path, root = scratch / "worker.log", container.image.root
        with path.open("wb") as log, root.running(command, container.around, log) as process:
            wait_until(lambda: root.run(ping, container.around).returncode == 0, process, path)

            assert stop(process, seconds=container.service.grace_seconds) == 0
