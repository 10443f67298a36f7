"""Every documented way to start the application streams, and keeps keys out of its logs."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.fakes import FakeProvider
from tests.gemini import base_of
from tests.proxy.conftest import HISTORY, completion
from tests.proxy.test_canary import CANARY, FAULTS, GEMINI
from tests.proxy.test_secrets import paths_with
from tests.proxy.test_upgrades import shaken

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ASGI = "alchemyst.asgi:application"
CLOCKED = ["--http", "alchemyst.web.connections:ClockedProtocol"]
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", ASGI, "--port", "{port}"],
    "uvicorn, quiet": ["-m", "uvicorn", ASGI, "--port", "{port}", "--no-access-log", *CLOCKED],
    "runserver": ["manage.py", "runserver", "--noreload", "{port}"],
    "daphne": ["-m", "daphne", "-p", "{port}", ASGI],
}


class Installation:
    """A fresh data folder, as `make run` leaves it, and processes that serve it."""

    def __init__(self, folder: Path, provider: FakeProvider) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "log"
        self.database = folder / "data" / "db.sqlite3"
        self.environment = {
            "PATH": os.environ["PATH"],
            "ALCHEMYST_DATA_DIR": str(folder / "data"),
            "ALCHEMYST_PROXY_ALLOWED_TARGETS": f"127.0.0.1:{provider.port}",
            "ALCHEMYST_PROXY_FIRST_BYTE_TIMEOUT": "0.3",
            "ALCHEMYST_PROXY_IDLE_TIMEOUT": "0.3",
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

    def wait_for_rows(self, count: int) -> None:
        """Wait until so many usage rows are in the database."""
        end = time.monotonic() + 10
        while self.rows() < count:
            assert time.monotonic() < end, "the usage rows were not written"
            time.sleep(0.2)

    def rows(self) -> int:
        with closing(sqlite3.connect(self.database)) as database:
            return int(database.execute("SELECT count(*) FROM proxy_usagerecord").fetchone()[0])

    def files(self) -> dict[str, bytes]:
        """Every file that it has written but its secrets, the database and the log among them."""
        files = [file for file in self.log.parent.rglob("*") if file.is_file()]
        return {file.name: file.read_bytes() for file in files if file.name != "secrets.json"}

    def serve(self, command: list[str]) -> str:
        """Start a server beside those that run, and return its URL; all write one log."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [word.format(port=port) for word in command]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 30
        while not _answers(url):
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)
        return url

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)


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


@pytest.fixture(scope="module")
def servers(installation: Installation) -> Iterator[dict[str, str]]:
    """The URL of each server that a test has needed: they stay, whatever order tests come in."""
    urls: dict[str, str] = {}
    yield urls
    installation.end()


@pytest.fixture(params=COMMANDS, ids=str)
def served_url(
    request: pytest.FixtureRequest, installation: Installation, servers: dict[str, str]
) -> str:
    """Where the application is, started in one of the documented ways."""
    if request.param not in servers:
        servers[request.param] = installation.serve(COMMANDS[request.param])
    return servers[request.param]


@pytest.fixture
def served(served_url: str, installation: Installation) -> Callable[..., requests.Response]:
    """Asks the application for a path of its API."""

    def ask(
        path: str,
        *,
        method: str = "POST",
        api: str = "proxy/",
        headers: dict[str, str] | None = None,
        **options: object,
    ) -> requests.Response:
        return requests.request(
            method,
            f"{served_url}/api/v1/{api}{path}",
            headers={"Authorization": f"Bearer {installation.key}"} | (headers or {}),
            timeout=30,
            **options,
        )

    return ask


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
    assert [answer.status_code for answer in refused] == [500, 400, 400, 400, 400]
    time.sleep(0.2)
    assert CANARY not in installation.log.read_text()
    assert installation.key not in installation.log.read_text()


def test_a_websocket_on_the_proxys_path_is_426(
    served_url: str, installation: Installation, provider: FakeProvider
):
    url = f"{served_url}/api/v1/proxy/{provider.url}/v1/{CANARY}/responses"

    answer = shaken(url, installation.key)

    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b'"code":"upgrade_refused"' in answer
    assert CANARY not in installation.log.read_text()


def test_no_log_shows_the_key_of_a_path_that_is_no_well_formed_call(
    served_url: str, installation: Installation
):
    connection = http.client.HTTPConnection(urlsplit(served_url).netloc, timeout=30)
    for path in paths_with(CANARY):
        connection.request("GET", path, headers={"Authorization": f"Bearer {installation.key}"})
        connection.getresponse().read()
    connection.close()
    assert CANARY not in installation.log.read_text()

    assert CANARY not in installation.log.read_text()


@pytest.mark.parametrize("served_url", ["uvicorn", "runserver", "daphne"], indirect=True)
def test_a_key_that_went_through_every_fault_and_endpoint_is_nowhere(
    served: Callable[..., requests.Response], installation: Installation, provider: FakeProvider
):
    provider.received.clear()
    before, calls, answers = installation.rows(), 0, []

    def call(path: str, **options: object) -> None:
        nonlocal calls
        calls += 1
        with contextlib.suppress(requests.RequestException):
            answer = served(path, **options)
            answers.append(f"{answer.headers} {answer.text}")

    headers = {"X-Upstream-Api-Key": CANARY}
    for number, fault in enumerate(FAULTS):
        base = f"{provider.url}/{fault}/v1"
        stored = {"name": f"p{number}", "base_url": base, "key": CANARY}
        provider_row = served("providers", api="", json=stored)
        call(f"{base}/models", method="GET", headers=headers)
        for is_streamed in (False, True):
            body = completion(HISTORY, stream=is_streamed)
            call(f"{base}/{CANARY}/chat/completions", json=body)
            call(f"p{number}/chat/completions", json=body)
        served(f"providers/{provider_row.json()['id']}", api="", method="DELETE")
    contents = {"contents": [{"parts": [{"text": "Hello"}]}]}
    for behaviour in GEMINI:
        models = f"{provider.url}/{behaviour}/v1beta/models"
        call(f"{models}?key={CANARY}", method="GET")
        for task in ("generateContent", "streamGenerateContent", "countTokens"):
            call(f"{models}/m:{task}?key={CANARY}", json=contents)
            call(f"{models}/m:{task}", json=contents, headers={"x-goog-api-key": CANARY})

    assert len(provider.received) >= 5 * len(FAULTS) + 7 * len(GEMINI)
    for each in provider.received:
        assert CANARY in each.headers.get("Authorization", each.headers.get("x-goog-api-key"))
    installation.wait_for_rows(before + calls)
    files = installation.files()
    assert {"log", "db.sqlite3"} <= files.keys()
    assert [name for name, text in files.items() if CANARY.encode() in text] == []
    assert CANARY not in "\n".join(answers)


def test_a_whole_answer_that_breaks_is_cut(
    served: Callable[..., requests.Response], provider: FakeProvider
):
    """With a length and in chunks; none leaves its client waiting for the rest."""
    contents = {"contents": [{"parts": [{"text": "Hello"}]}]}
    in_chunks = base_of("", provider, "gemini-cut/inside").removeprefix("/api/v1/proxy/")
    bodies = {
        f"{provider.url}/cut/v1/sk-1/chat/completions": completion(HISTORY[-1:]),
        f"{in_chunks}/v1beta/models/m:streamGenerateContent?key=k": contents,
    }

    for path, body in bodies.items():
        with pytest.raises(requests.RequestException) as raised:
            served(path, json=body)
        assert "timed out" not in str(raised.value)

    assert served(f"{provider.url}/v1/sk-1/chat/completions", json=completion()).ok


def test_a_second_welcome_changes_nothing_and_shows_no_secret(installation: Installation):
    again = installation.run("welcome")

    assert not re.findall(r"alk_[\w-]{40,}", again)
    assert "curl" in again
