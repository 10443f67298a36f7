"""The threads of a process: how many, which may hold a connection, and who waits for whom."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.common.runtime import threads
from proxy.common.runtime.threads import (
    on_database_thread,
    on_heartbeat_thread,
    on_writer_thread,
    shared,
)

ROOT = Path(__file__).resolve().parents[2]
POOL = re.compile(r"ThreadPoolExecutor|threading\.Thread\(")
APPS = ("alchemyst", "chats", "personas", "proxy")

DATABASE_POOLS = (*threads.REQUESTS, threads.DATABASE, threads.WRITER, threads.HEARTBEAT)
OTHER_POOLS = (
    threads.CPU,
    threads.NETWORK,
    threads.ENCODER,
    threads.LEARNER,
    threads.PROCESSES,
)


def test_there_are_no_pools_but_these():
    own = ROOT / "proxy" / "common" / "runtime" / "threads.py"
    files = {path for app in APPS for path in (ROOT / app).rglob("*.py")} - {own}

    assert [path for path in files if POOL.search(path.read_text())] == []


def test_nineteen_threads_at_most_and_ten_of_them_with_a_connection():
    """As many as PostgreSQL's usual pool has connections."""
    usual = shared(threads.USUAL_CONNECTIONS)

    with_a_connection = usual.requests + usual.database + 1 + 1 + threads.TASK_THREADS
    others = (
        threads.CPU_THREADS
        + threads.NETWORK_THREADS
        + threads.ENCODER_THREADS
        + threads.LEARNER_THREADS
        + threads.PROCESS_THREADS
    )

    assert with_a_connection == threads.USUAL_CONNECTIONS == 10
    assert with_a_connection + others == 19


@pytest.mark.parametrize("connections", range(threads.LEAST_CONNECTIONS, 101))
def test_no_more_threads_want_a_connection_than_there_are(connections: int):
    found = shared(connections)

    assert found.requests + found.database + 1 + 1 + threads.TASK_THREADS <= connections


def test_the_pools_have_as_many_threads_as_is_said():
    def count(executor: object) -> int:
        return int(getattr(executor, "_max_workers"))  # noqa: B009

    assert sum(map(count, (*DATABASE_POOLS, threads.TASKS))) == sum(threads.SHARED) + 4
    assert sum(map(count, OTHER_POOLS)) == 9


class Hindrance:
    """Work that takes as long as one likes."""

    def __init__(self) -> None:
        self.most = self.now = 0
        self.is_over = threading.Event()
        self._lock = threading.Lock()

    def work(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.is_over.wait(10)
        with self._lock:
            self.now -= 1


@pytest.fixture
def slow() -> Iterator[Hindrance]:
    hindrance = Hindrance()
    yield hindrance
    hindrance.is_over.set()


def name() -> str:
    return threading.current_thread().name


@pytest.mark.django_db(transaction=True)
async def test_the_heartbeat_and_the_writer_wait_for_no_slow_question(slow: Hindrance):
    many = [asyncio.create_task(on_database_thread(slow.work)()) for _ in range(50)]
    await asyncio.sleep(0)

    assert (await on_heartbeat_thread(name)()).startswith("heartbeat")
    assert (await on_writer_thread(name)()).startswith("writer")

    slow.is_over.set()
    await asyncio.gather(*many)


@pytest.mark.django_db(transaction=True)
async def test_a_flood_of_one_question_leaves_a_thread_for_another(slow: Hindrance):
    ask = on_database_thread(slow.work, at_most=threads.SHARED.database - 1)
    flood = [asyncio.create_task(ask()) for _ in range(50)]
    await asyncio.sleep(0)

    assert (await on_database_thread(name)()).startswith("database")

    slow.is_over.set()
    await asyncio.gather(*flood)
    assert slow.most <= threads.SHARED.database - 1
