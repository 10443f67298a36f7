"""Every documented way to start the application streams, and keeps keys out of its logs."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-7Zq4-secret"
ASGI = "alchemyst.asgi:application"
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", ASGI, "--port", "{port}"],
    "uvicorn, quiet": ["-m", "uvicorn", ASGI, "--port", "{port}", "--no-access-log"],
    "runserver": ["manage.py", "runserver", "--noreload", "{port}"],
    "daphne": ["-m", "daphne", "-p", "{port}", ASGI],
}


class Installation:
    """A fresh data folder, as `make run` leaves it, and processes that serve it."""

    def __init__(self, folder: Path, provider: FakeProvider) -> None:
        self.log = folder / "log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "ALCHEMYST_DATA_DIR": str(folder / "data"),
            "ALCHEMYST_PROXY_ALLOWED_TARGETS": f"127.0.0.1:{provider.port}",
            "ALCHEMYST_LOG_LEVEL": "DEBUG",
            "PYTHONUNBUFFERED": "1",
        }
        self.run("migrate", "--verbosity", "0")
        welcome = self.run("welcome")
        (self.key,) = set(re.findall(r"alk_[\w-]{40,}", welcome))

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def serve(self, command: list[str]) -> tuple[subprocess.Popen[bytes], str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [word.format(port=port) for word in command]
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 30
        while not _answers(url):
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)
        return process, url


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, the_provider: FakeProvider
) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation"), the_provider)


@pytest.fixture(params=COMMANDS, ids=str)
def served(
    request: pytest.FixtureRequest, installation: Installation
) -> Iterator[Callable[..., requests.Response]]:
    """Asks the application, started in one of the documented ways."""
    process, url = installation.serve(COMMANDS[request.param])

    def ask(path: str, **options: object) -> requests.Response:
        return requests.post(
            f"{url}/api/v1/proxy/{path}",
            headers={"Authorization": f"Bearer {installation.key}"},
            timeout=30,
            **options,
        )

    yield ask
    process.terminate()
    process.wait(30)


def test_it_streams_and_its_log_has_no_key(
    served: Callable[..., requests.Response], installation: Installation, provider: FakeProvider
):
    question = completion(HISTORY[-1:], stream=True)
    target = f"{provider.url}/slow/v1/{CANARY}"

    with served(f"{target}/chat/completions", json=question, stream=True) as answer:
        first = next(answer.iter_content(None))
    refused = [
        served(f"{provider.url}/fail/500/v1/{CANARY}/chat/completions?key={CANARY}", json=question),
        served(f"http://10.0.0.1/v1/{CANARY}/chat/completions", json=question),
        served(f"{target}/unknown", json=question),
        served(f"{provider.url}/v1?a=b/{CANARY}/chat/completions", json=question),
        served(f"{target}/chat/completions", data=b"{"),
    ]

    assert first.count(b"data: ") == 1
    assert [answer.status_code for answer in refused] == [500, 400, 404, 400, 400]
    time.sleep(0.2)
    assert CANARY not in installation.log.read_text()
    assert installation.key not in installation.log.read_text()


def test_a_second_welcome_changes_nothing_and_shows_no_secret(installation: Installation):
    again = installation.run("welcome")

    assert not re.findall(r"alk_[\w-]{40,}", again)
    assert "curl" in again
