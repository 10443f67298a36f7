"""An operator's mishaps: told in words, once, with what to do; `/readyz` tells of them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import requests

from tests.chats.processes import ROOT, Installation, Process, database
from tests.fakes import FakeProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")
on_sqlite = pytest.mark.skipif(ON_POSTGRESQL, reason="PostgreSQL has its disk elsewhere")
TMPFS_MEGABYTES = 32
A_CHAT = {"messages": [{"role": "user", "content": "Which tea? " * 200}]}


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def readiness(server: Process) -> dict[str, str]:
    answer = requests.get(f"{server.url}/readyz", timeout=30)
    state: dict[str, str] = answer.json()
    assert (answer.status_code == 503) == (state["status"] == "unavailable")
    return state


def lines_with(server: Process, words: str) -> list[str]:
    return [line for line in server.log.read_text().splitlines() if words in line]


class TestAStartThatCanNotBe:
    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({"ALCHEMYST_DATA_DIR": "/dev/null/data"}, "name another folder in ALCHEMYST_DATA_DIR"),
            ({"DATABASE_URL": "mysql://h/d"}, "DATABASE_URL must be"),
            ({"DATABASE_URL": "postgres://u:p@h"}, "DATABASE_URL must be"),
            ({"DATABASE_URL": "postgres://u:p/w@h/d"}, "Escape what is special in its password"),
            ({"REDIS_URL": "127.0.0.1:6379"}, "REDIS_URL must be"),
            ({"REDIS_URL": "redis://127.0.0.1:x/0"}, "REDIS_URL must be"),
            ({"ALCHEMYST_SECRET_KEY": "short"}, "ALCHEMYST_SECRET_KEY is too weak"),
            ({"ALCHEMYST_JWT_KEY_FILE": "/no/such/file"}, "ALCHEMYST_JWT_KEY_FILE can't be read"),
        ],
        ids=lambda value: ", ".join(value.values()) if isinstance(value, dict) else "",
    )
    def test_says_why_in_one_line(self, tmp_path: Path, environment: dict[str, str], words: str):
        server = ["-m", "uvicorn", "alchemyst.asgi:application", "--port", "0"]

        done = run(server, **{"ALCHEMYST_DATA_DIR": str(tmp_path)} | environment)

        assert done.returncode != 0
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1

    def test_of_a_damaged_file_of_secrets_names_it(self, tmp_path: Path):
        (tmp_path / "secrets.json").write_text("{")

        done = run(["manage.py", "migrate"], ALCHEMYST_DATA_DIR=str(tmp_path))

        assert "secrets.json is damaged" in done.stderr
        assert "Traceback" not in done.stderr

    def test_of_a_database_that_is_away_says_where_to_look(self, tmp_path: Path):
        url = "postgres://u:hunter2@127.0.0.1:1/d"

        done = run(["manage.py", "migrate"], ALCHEMYST_DATA_DIR=str(tmp_path), DATABASE_URL=url)

        assert done.returncode == 1
        assert done.stderr.startswith("The database does not answer. Look at DATABASE_URL")
        assert "hunter2" not in done.stderr

    def test_without_a_migration_says_what_to_run(self, tmp_path: Path):
        code = "from django.test import Client; r = Client().get('/readyz', HTTP_HOST='localhost');"
        code += "print(r.status_code, r.json()['database'])"

        with database() as own:
            done = run(
                ["manage.py", "shell", "--no-imports", "-c", code],
                **{"ALCHEMYST_DATA_DIR": str(tmp_path)} | own,
            )

        assert done.stdout.splitlines()[-1] == "503 not migrated"
        assert "Run: python manage.py migrate" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for the data folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MEGABYTES}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def on_small_disk(
    small_disk: Path, tmp_path: Path, the_provider: FakeProvider
) -> Iterator[tuple[Installation, Process]]:
    installation = Installation(tmp_path, the_provider, ALCHEMYST_DATA_DIR=str(small_disk / "data"))
    with installation.servers(1) as (server,):
        yield installation, server


@on_sqlite
class TestADisk:
    def fill(self, disk: Path) -> Path:
        filling = disk / "filling"
        with suppress(OSError), filling.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        return filling

    def test_that_is_full_is_told_of_and_needs_no_restart(
        self, on_small_disk: tuple[Installation, Process], small_disk: Path
    ):
        installation, server = on_small_disk
        chats = f"{server.url}/api/v1/chat/new"
        filling = self.fill(small_disk)

        answers = [installation.http().post(chats, json=A_CHAT) for _ in range(20)]
        assert {answer.status_code for answer in answers} >= {503}
        assert "Tell its operator" in answers[-1].json()["message"]
        state = readiness(server)
        assert (state["status"], state["database"]) == ("unavailable", "ok")
        assert state["storage"] == "full"
        assert len(lines_with(server, "The disk is full: nothing can be written. Make room")) == 1
        assert lines_with(server, "Traceback") == []

        filling.unlink()
        wait_until(lambda: bool(lines_with(server, "Over: The disk is full")), "it is not noticed")
        assert installation.http().post(chats, json=A_CHAT).status_code == 201
        assert readiness(server)["status"] == "ok"

    def test_that_can_not_be_written_is_told_of(
        self, on_small_disk: tuple[Installation, Process], small_disk: Path
    ):
        _, server = on_small_disk
        # Forced: a server has files open for writing.
        subprocess.run(["mount", "-o", "remount,ro,force", str(small_disk)], capture_output=True)
        if os.access(small_disk, os.W_OK):
            pytest.skip("needs a disk that can be made read-only while files are open")

        assert readiness(server)["storage"] == "read-only"
        assert len(lines_with(server, "can't be written. Let this process's user")) == 1
        assert lines_with(server, "Traceback") == []


class OwnRedis:
    """A Redis that goes away and comes back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, "Redis did not start")

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


class TestRedis:
    @pytest.fixture
    def own_redis(self, tmp_path: Path) -> Iterator[OwnRedis]:
        if shutil.which("redis-server") is None:
            pytest.skip("needs redis-server")
        own = OwnRedis(tmp_path)
        own.start()
        yield own
        own.end()

    def test_that_goes_away_is_one_line_and_one_when_it_is_back(
        self, own_redis: OwnRedis, tmp_path: Path, the_provider: FakeProvider
    ):
        with database() as own:
            installation = Installation(
                tmp_path, the_provider, **own | {"REDIS_URL": own_redis.url}
            )
            with installation.servers(1) as (server,):
                own_redis.end()
                history = f"{server.url}/api/v1/chat/history"
                for _ in range(20):
                    assert installation.http().get(history).ok
                assert readiness(server)["redis"] == "unreachable"
                assert readiness(server)["status"] == "degraded"
                own_redis.start()
                wait_until(lambda: bool(lines_with(server, "Over: Redis")), "it is not noticed")

                assert readiness(server)["status"] == "ok"
                assert len(lines_with(server, "Redis does not answer")) == 2
                assert lines_with(server, "Traceback") == []


@contextmanager
def refused(url: str) -> Iterator[None]:
    """A database that lets nobody in."""
    name = urlsplit(url).path[1:]
    elsewhere = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        yield
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@pytest.mark.skipif(not ON_POSTGRESQL, reason="a file does not go away")
class TestADatabase:
    def test_that_goes_away_is_one_line_and_one_when_it_is_back(
        self, tmp_path: Path, the_provider: FakeProvider
    ):
        with database() as own:
            installation = Installation(tmp_path, the_provider, **own)
            with installation.servers(1) as (server,):
                with refused(own["DATABASE_URL"]):
                    wait_until(
                        lambda: bool(lines_with(server, "The database does not answer. Look")),
                        "it is not noticed",
                    )
                    assert readiness(server)["database"] == "unreachable"
                wait_until(lambda: bool(lines_with(server, "Over: The database")), "not noticed")

                assert readiness(server)["status"] == "ok"
                assert len(lines_with(server, "The database does not answer. Look")) == 1
                assert lines_with(server, "Traceback") == []


def test_a_command_that_is_interrupted_says_so(tmp_path: Path):
    # What runs in a shell's background begins with the signal ignored.
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import signal; {heed}; signal.raise_signal(signal.SIGINT)"

    done = run(["manage.py", "shell", "--no-imports", "-c", code], ALCHEMYST_DATA_DIR=str(tmp_path))

    assert done.returncode == 130
    assert "Interrupted" in done.stderr
    assert "Traceback" not in done.stderr
