"""Several processes that do a first thing at once: one does it, the others find it done."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.core.management import get_commands

from alchemyst.operations.exclusive import MIGRATING
from proxy.common.runtime.folder_lock import folder_lock
from tests.chats.processes import ROOT, database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
AT_ONCE = 3


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A data folder that is not there yet, and an empty database."""
    with database() as own:
        yield {"PATH": os.environ["PATH"], "ALCHEMYST_DATA_DIR": str(tmp_path / "data")} | own


def start(environment: dict[str, str], *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_at_once(environment: dict[str, str], *command: str) -> list[str]:
    """Start a command several times at once; return what each wrote, all of them well."""
    processes = [start(environment, *command) for _ in range(AT_ONCE)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * AT_ONCE, outputs
    return [output for output, _ in outputs]


@contextmanager
def held(environment: dict[str, str]) -> Iterator[None]:
    """The lock of who migrates, held by somebody else."""
    if url := environment.get("DATABASE_URL"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
            yield
        return
    folder = Path(environment["ALCHEMYST_DATA_DIR"])
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


class TestMigrate:
    def test_is_done_by_one_and_found_done_by_the_others(self, environment: dict[str, str]):
        outputs = run_at_once(environment, "migrate", "--noinput")

        done = [output for output in outputs if "Applying chats.0001_initial... OK" in output]
        idle = [output for output in outputs if "No migrations to apply." in output]
        assert (len(done), len(idle)) == (1, AT_ONCE - 1)

    def test_says_that_it_waits(self, environment: dict[str, str]):
        with held(environment):
            process = start(environment, "migrate", "--noinput", "--verbosity", "0")
            assert process.stderr is not None
            notice = process.stderr.readline()

        assert "Another process is migrating" in notice
        process.communicate(timeout=300)
        assert process.returncode == 0

    def test_leaves_no_lock_behind_when_it_is_killed(self, environment: dict[str, str]):
        with held(environment):
            process = start(environment, "migrate", "--noinput")
            assert process.stderr is not None
            process.stderr.readline()
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)

        run_at_once(environment, "migrate", "--noinput", "--verbosity", "0")


def test_secrets_are_made_once(environment: dict[str, str]):
    code = "from django.conf import settings as s; print(s.SECRET_KEY, s.JWT_KEY, s.VAULT_KEYS)"

    outputs = run_at_once(environment, "shell", "--no-imports", "-c", code)

    assert len(set(outputs)) == 1
    folder = Path(environment["ALCHEMYST_DATA_DIR"])
    assert json.loads((folder / "secrets.json").read_text())["secret_key"] in outputs[0]
    assert [file.name for file in folder.glob(".secrets*")] == []


def test_one_administrator_is_made(environment: dict[str, str]):
    run_at_once(environment, "migrate", "--noinput", "--verbosity", "0")

    outputs = run_at_once(environment, "welcome")

    assert ["This is the first start" in output for output in outputs].count(True) == 1


def test_static_files_are_collected_by_one(environment: dict[str, str]):
    outputs = run_at_once(environment, "collectstatic", "--noinput")

    assert all("static files" in output for output in outputs)
    assert get_commands()["collectstatic"] == "alchemyst"
    # Another run of the suite may be collecting into the same folder.
    with folder_lock(ROOT / "staticfiles"):
        assert json.loads((ROOT / "staticfiles" / "staticfiles.json").read_text())["paths"]
