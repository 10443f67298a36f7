"""One kind of requests never takes all threads, nor waits in any number."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing

import pytest
import requests
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from alchemyst.asgi import with_thread_pool
from proxy.common.errors import Overloaded
from proxy.common.runtime import threads
from proxy.common.runtime.threads import MOST_WAITING, on_database_thread
from proxy.common.web.asgi import Message, Receive, Scope, Send
from tests import nginx

FLOOD = 40
PLACES = len(threads.WRITING) * MOST_WAITING


class Lock:
    """What one kind of requests waits for, as for a database that is locked."""

    def __init__(self) -> None:
        self.is_open = threading.Event()

    def wait(self) -> None:
        self.is_open.wait(30)


@pytest.fixture
def lock() -> Iterator[Lock]:
    made = Lock()
    yield made
    made.is_open.set()


class Application:
    """Serves requests of one kind when the lock is open, and others at once."""

    def __init__(self, lock: Lock, waiting: str) -> None:
        self.lock = lock
        self.waiting = waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] == "http.disconnect":
            return
        work = self.lock.wait if scope["method"] == self.waiting else lambda: None
        # Django's middleware takes its thread several times for a request.
        for _ in range(3):
            await sync_to_async(work)()


async def whole_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def no_body() -> Message:
    await asyncio.Event().wait()
    return {}


async def nowhere(message: Message) -> None:
    pass


def request(app: object, method: str, receive: Receive = whole_body) -> asyncio.Task[None]:
    return asyncio.ensure_future(
        app({"type": "http", "method": method, "has_begun": False}, receive, nowhere)
    )


@pytest.mark.parametrize(("flood", "other"), [("POST", "GET"), ("GET", "POST")])
async def test_a_flood_of_one_kind_leaves_a_thread_to_the_other(lock: Lock, flood: str, other: str):
    app = with_thread_pool(Application(lock, flood))
    many = [request(app, flood) for _ in range(min(FLOOD, PLACES))]
    await asyncio.sleep(0)

    await request(app, other)

    assert not any(task.done() for task in many)
    lock.is_open.set()
    await asyncio.gather(*many)


async def test_more_writers_than_may_wait_are_refused_at_once(lock: Lock):
    app = with_thread_pool(Application(lock, "POST"))
    many = [request(app, "POST") for _ in range(PLACES + 5)]

    done, _ = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 5:
        await asyncio.sleep(0)
        done = {task for task in many if task.done()}

    assert [type(task.exception()) for task in done] == [Overloaded] * 5
    lock.is_open.set()
    await asyncio.wait(many)
    assert sum(task.exception() is None for task in many) == PLACES


async def test_writers_whose_bodies_have_not_come_take_no_place(lock: Lock):
    app = with_thread_pool(Application(lock, "PUT"))
    slow = [request(app, "POST", no_body) for _ in range(2 * PLACES)]
    await asyncio.sleep(0)

    await request(app, "POST")

    for task in slow:
        task.cancel()
    await asyncio.wait(slow)


@pytest.mark.django_db(transaction=True)
async def test_writes_of_event_loops_leave_a_thread_to_what_reads(lock: Lock):
    write = on_database_thread(lock.wait, writes=True)
    most = (threads.SHARED.database - 1) * MOST_WAITING
    many = [asyncio.ensure_future(write()) for _ in range(most)]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await write()
    await on_database_thread(lambda: None)()

    assert not any(task.done() for task in many)
    lock.is_open.set()
    await asyncio.gather(*many)


@pytest.mark.slow
@pytest.mark.skipif(bool(nginx.BEHIND), reason="one server suffices")
def test_a_reader_is_answered_while_the_database_is_locked(
    server: str, http: requests.Session, as_alice
):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL locks rows, not the database")
    authorization = dict(http.headers)

    def post(number: int) -> int:
        body = {"messages": [{"role": "user", "content": str(number)}]}
        url = f"{server}/api/v1/chat/new"
        return requests.post(url, json=body, headers=authorization, timeout=300).status_code

    path = settings.DATABASES["default"]["TEST"]["NAME"]
    with (
        ThreadPoolExecutor(FLOOD) as pool,
        closing(sqlite3.connect(path, isolation_level=None)) as holder,
    ):
        holder.execute("BEGIN IMMEDIATE")
        writers = [pool.submit(post, number) for number in range(FLOOD)]
        # Those that may not wait are refused at once, so all others are there by then.
        wait(writers, return_when="FIRST_COMPLETED")
        answer = http.get(f"{server}/api/v1/chat/history", timeout=300)
        waiting = sum(not writer.done() for writer in writers)
        holder.execute("ROLLBACK")

    assert answer.status_code == 200
    assert waiting > FLOOD // 2
    assert {writer.result() for writer in writers} <= {201, 503}
