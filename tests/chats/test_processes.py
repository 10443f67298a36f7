"""Several processes on one database, and the end of one of them: nothing acknowledged is lost."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.chats.answers import Api, asking, events, questions
from tests.chats.processes import Installation, Process, database
from tests.fakes import ANSWER, FakeProvider

HUNDRED = "".join(f"{number} " for number in range(100))
KILLS = 3
ENOUGH = 11
"""So many answers make a load."""

# Each starts a dozen processes, which a busy machine takes its time for.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def the_installation(
    tmp_path_factory: pytest.TempPathFactory, the_provider: FakeProvider
) -> Iterator[Installation]:
    with database() as environment:
        yield Installation(tmp_path_factory.mktemp("servers"), the_provider, **environment)


@pytest.fixture
def installation(the_installation: Installation, provider: FakeProvider) -> Iterator[Installation]:
    """A database that servers of the test's own share, without any chat."""
    yield the_installation
    the_installation.empty()


def apis(installation: Installation, servers: list[Process]) -> list[Api]:
    return [Api(installation.http(), server.url) for server in servers]


class TestTwoProcesses:
    def test_follow_replay_and_stop_each_others_answers(
        self, installation: Installation, provider: FakeProvider
    ):
        with installation.servers(2) as servers:
            here, there = apis(installation, servers)
            with here.stream(asking(persona="hundred")) as response:
                session = response.headers["x-alchemyst-replay-session-id"]
                followed = there.replay(session)
                watched = list(events(response))
            replayed = there.replay(session)
            with here.stream(asking("Again?", persona="hundred")) as response:
                session = response.headers["x-alchemyst-replay-session-id"]
                told = there.stop(session).json()
                stopped = list(events(response))

        assert followed == watched == replayed
        assert followed[-3].data["content"] == HUNDRED
        assert told["state"] == "stopped"
        assert stopped[-2].data["content"]["state"] == "stopped"
        assert questions(provider)[-1].is_closed.wait(2)

    def test_take_twenty_equal_questions_for_one(
        self, installation: Installation, provider: FakeProvider
    ):
        with installation.servers(2) as servers:
            both = apis(installation, servers)

            def ask(number: int) -> requests.Response:
                key = {"Idempotency-Key": "q-1"}
                body = asking(persona="half-second")
                return both[number % 2].generate(body, headers=key)

            with ThreadPoolExecutor(20) as threads:
                answers = list(threads.map(ask, range(20)))

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["messageId"] for answer in answers}) == 1
        assert len(json.loads(installation.look())["messages"]) == 2
        assert len(questions(provider)) == 1


class Load:
    """Clients that ask without rest, each question once, and note what was acknowledged."""

    def __init__(self, installation: Installation, urls: list[str], clients: int = 6) -> None:
        self.installation, self.urls = installation, urls
        self.acknowledged: list[str] = []
        self.unsure: list[str] = []
        self.complete: list[str] = []
        self.running: Counter[str] = Counter()
        """How many answers each server is giving."""
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Go on until something holds; the bound is for a load that stands still."""
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end, (self.acknowledged, self.unsure, self.running)
            time.sleep(0.01)

    def has_completed(self, count: int) -> bool:
        return len(self.complete) >= count

    def is_enough_on(self, url: str) -> bool:
        """Whether enough was answered, and a server is in the middle of several answers."""
        return self.has_completed(ENOUGH) and self.running[url] > 1

    def _ask(self, client: int) -> None:
        count = 0
        with self.installation.http() as http:
            while not self.over.is_set():
                question = f"Question {count} of client {client}?"
                url = self.urls[(client + count) % len(self.urls)]
                count += 1
                body = asking(question, persona=("hundred", "maya")[count % 2])
                key = {"Idempotency-Key": question}
                try:
                    with http.post(
                        f"{url}/api/v1/chat/generate/stream",
                        json=body,
                        headers=key,
                        stream=True,
                        timeout=20,
                    ) as response:
                        # From here on the question is acknowledged.
                        is_kept = response.status_code == 200
                        (self.acknowledged if is_kept else self.unsure).append(question)
                        self.running[url] += 1
                        try:
                            for _ in response.iter_content(None):
                                pass
                        finally:
                            self.running[url] -= 1
                        self.complete.append(question)
                except requests.RequestException:
                    if question not in self.acknowledged:
                        self.unsure.append(question)
                    time.sleep(0.2)


def check(installation: Installation, load: Load) -> dict[str, Any]:
    """Whether each acknowledged question is kept once, and each answer at most once."""
    kept = json.loads(installation.look())
    asked = Counter(text for role, text, _ in kept["messages"] if role == "user")
    assert set(load.acknowledged) <= asked.keys(), "an acknowledged question was lost"
    assert set(asked.values()) == {1}, "a question was doubled"
    assert asked.keys() <= {*load.acknowledged, *load.unsure}
    places = Counter(chat for role, _, chat in kept["messages"] if role == "assistant")
    assert set(places.values()) == {1}
    return kept


class TestAProcessThatIsKilled:
    def test_loses_and_doubles_nothing(self, installation: Installation):
        for _ in range(KILLS):
            with (
                installation.servers(2) as servers,
                Load(installation, [server.url for server in servers]) as load,
            ):
                load.wait_for(partial(load.is_enough_on, servers[0].url))
                servers[0].signal(signal.SIGKILL)
                more = len(load.complete) + 1
                load.wait_for(partial(load.has_completed, more))
            installation.let_leases_end()
            with installation.servers(1) as servers:
                _wait_for_the_sweep(installation)
            kept = check(installation, load)
            assert "incomplete" in kept["states"]
            installation.empty()

    def test_leaves_an_answer_that_can_be_gone_on_with(self, installation: Installation):
        with installation.servers(1) as servers:
            (api,) = apis(installation, servers)
            with api.stream(asking(persona="hundred")) as response:
                lines = response.iter_lines(chunk_size=1, decode_unicode=True)
                assert any('"response_delta"' in line and "5 " in line for line in lines)
                chat_id = response.headers["x-alchemyst-chat-id"]
                session = response.headers["x-alchemyst-replay-session-id"]
                servers[0].signal(signal.SIGKILL)
        installation.let_leases_end()
        with installation.servers(1) as servers:
            (api,) = apis(installation, servers)
            found = api.replay(session)
            again = api.post(f"/{chat_id}/continue").json()

        kept = "".join(e.data["content"] for e in found if e.type == "response_delta")
        assert HUNDRED.startswith(kept)
        assert kept
        assert [event.type for event in found[-3:]] == ["metadata", "error", "done"]
        assert again["result"]["message"].startswith(kept)


def _wait_for_the_sweep(installation: Installation) -> None:
    end = time.monotonic() + 120
    while {"queued", "streaming"} & set(json.loads(installation.look())["states"]):
        assert time.monotonic() < end
        time.sleep(0.5)


class TestAProcessThatIsToldToEnd:
    def test_loses_and_doubles_nothing_and_finishes_what_it_can(self, installation: Installation):
        for _ in range(KILLS):
            with (
                installation.servers(2) as servers,
                Load(installation, [server.url for server in servers]) as load,
            ):
                load.wait_for(partial(load.is_enough_on, servers[0].url))
                servers[0].signal(signal.SIGTERM)
                code = servers[0].process.wait(120)
            kept = check(installation, load)
            assert code in (0, -signal.SIGTERM)
            finished = Counter(kept["states"])
            assert set(finished) <= {"complete", "incomplete"}
            assert finished["complete"] >= ENOUGH
            installation.empty()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Redis of the test's own, which it may stop."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield process, f"redis://127.0.0.1:{port}/0"
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.wait(10)


class TestRedis:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGSTOP], ids=["gone", "silent"])
    def test_may_go_in_the_middle_of_an_answer(
        self,
        installation: Installation,
        own_redis: tuple[subprocess.Popen[bytes], str],
        how: int,
    ):
        redis, url = own_redis
        with installation.servers(2, REDIS_URL=url) as servers:
            here, there = apis(installation, servers)
            with here.stream(asking(persona="hundred")) as response:
                session = response.headers["x-alchemyst-replay-session-id"]
                lines = response.iter_lines(chunk_size=1, decode_unicode=True)
                assert any('"response_delta"' in line for line in lines)
                redis.send_signal(how)
                followed = there.replay(session)
                assert any("[DONE]" in line for line in lines)
            after = here.generate(asking("And now?")).json()

        assert followed[-3].data["content"] == HUNDRED
        assert after["result"]["message"] == ANSWER
