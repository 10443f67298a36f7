"""A machine with Python 3, make and git: README's two commands, from a fresh clone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from tests.bare.conftest import REPOSITORY, answers, clone, wait_until
from tests.bare.root import Root, Surroundings

HOME = "/home/reader"
CLONE = f"{HOME}/alchemyst"
QUESTION = [{"role": "user", "content": "Hello!"}]
# Of the suite, what shows that it runs here: on threads and loops, with the application served,
# with the built-in model, in a browser.
QUICK = (
    "tests/common tests/proxy/test_streams.py tests/proxy/test_builtin.py tests/roof/test_health.py"
    " tests/chats/test_notify.py tests/web/test_shell.py"
)
NO_BROWSER = "No browser could be installed: the tests in one are skipped."


@dataclass(frozen=True)
class Site:
    """What `make run` serves, for the holder of a key."""

    url: str
    log: Path
    client: requests.Session

    def post(self, path: str, body: object) -> requests.Response:
        return self.client.post(f"{self.url}{path}", json=body, timeout=300)


def reader(**environment: str) -> Surroundings:
    """Somebody who has the clone, and no rights."""
    return Surroundings("reader", CLONE, environment)


@pytest.fixture(scope="module")
def machine(base: Root, scratch: Path) -> Root:
    machine = base.copy(scratch / "machine")
    machine.output(["useradd", "--create-home", "--shell", "/bin/bash", "reader"], Surroundings())
    clone(machine.inside(CLONE))
    machine.output(["chown", "-R", "reader:reader", HOME], Surroundings())
    return machine


@pytest.fixture(scope="module")
def site(machine: Root, scratch: Path, port: int) -> Iterator[Site]:
    """`make run`, and a key made as README's tour makes one."""
    path, url = scratch / "run.log", f"http://127.0.0.1:{port}"
    with (
        path.open("wb") as log,
        machine.running(["make", "run", f"PORT={port}"], reader(), log) as process,
    ):
        wait_until(lambda: answers(f"{url}/readyz"), process, path)
        client = requests.Session()
        client.headers["Authorization"] = f"Bearer {_key(machine)}"
        yield Site(url, path, client)


def _key(machine: Root) -> str:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    \$ (\S*python manage\.py create_key .+)$", readme, re.MULTILINE)
    (key,) = re.findall(r"\balk_\S+", machine.output(shlex.split(command), reader()))
    return str(key)


class TestMakeRun:
    def test_greets_its_operator_with_a_password_and_a_key(self, site: Site):
        text = site.log.read_text(encoding="utf-8")

        assert re.search(r"^  Password   \S+$", text, re.MULTILINE)
        assert re.search(r"^  API key    alk_\S+$", text, re.MULTILINE)

    def test_is_ready(self, site: Site):
        assert requests.get(f"{site.url}/readyz", timeout=10).status_code == 200

    def test_answers_a_proxied_call_by_the_built_in_model(self, site: Site):
        body = {"model": "alchemyst-ai/alchemyst-c1", "messages": QUESTION, "max_tokens": 20}

        answer = site.post("/api/v1/proxy/default/chat/completions", body)

        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"]
        assert "result=" in answer.headers["X-Alchemyst-Context"]

    def test_answers_in_a_chat(self, site: Site):
        body = {"chat_history": QUESTION, "persona": "maya"}

        answer = site.post("/api/v1/chat/generate", body)

        assert answer.status_code == 201, answer.text
        assert answer.json()["result"]["message"]

    def test_shows_its_pages(self, site: Site):
        page = requests.get(f"{site.url}/signin", timeout=10)

        assert page.status_code == 200
        (style,) = set(re.findall(r'href="(/static/[^"]+\.css)"', page.text)[:1])
        assert requests.get(f"{site.url}{style}", timeout=10).status_code == 200


@dataclass(frozen=True)
class Outcome:
    """What came of `make test`: its exit code, its words, and its report as XML."""

    code: int
    output: str
    report: str


@pytest.fixture(scope="module")
def tested_by_a_reader(machine: Root) -> Outcome:
    """A quick part of `make test`, by somebody who can install no browser."""
    # Wherever Playwright would get its own from, nobody answers there.
    return _make_test(machine, reader(PLAYWRIGHT_DOWNLOAD_HOST="http://127.0.0.1:9"))


@pytest.fixture(scope="module")
def tested_by_root(machine: Root, tested_by_a_reader: Outcome) -> Outcome:
    """The same afterwards, by somebody who can."""
    return _make_test(machine, Surroundings("root", CLONE))


def _make_test(machine: Root, around: Surroundings) -> Outcome:
    # This machine's services are not the bare one's.
    nowhere = {"TEST_DATABASE_URL": "postgres://nobody@127.0.0.1:9/none", "PYTEST_ADDOPTS": QUICK}
    environment = {**around.environment, **nowhere}
    ended = machine.run(["make", "test"], replace(around, environment=environment))
    print(ended.stdout)
    report = machine.inside(f"{CLONE}/var/test-reports/sqlite.xml")
    return Outcome(ended.returncode, ended.stdout, report.read_text(encoding="utf-8"))


class TestMakeTest:
    def test_passes(self, tested_by_a_reader: Outcome):
        assert tested_by_a_reader.code == 0
        assert re.search(r"\b\d{2,} passed", tested_by_a_reader.output)

    def test_says_what_it_does_without(self, tested_by_a_reader: Outcome):
        output = tested_by_a_reader.output

        assert NO_BROWSER in output
        assert "Not on PostgreSQL and Redis: PostgreSQL does not answer" in output
        assert "Not behind nginx: it is not installed" in output
        assert "no browser: " in tested_by_a_reader.report

    def test_brings_a_browser_along_where_it_may(self, tested_by_root: Outcome):
        assert tested_by_root.code == 0
        assert NO_BROWSER not in tested_by_root.output
        assert "no browser: " not in tested_by_root.report
