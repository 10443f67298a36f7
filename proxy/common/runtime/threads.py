"""The threads of a process, all of them: so many, for these purposes, and no others.

Who works with the database may hold a connection of it meanwhile, so these threads together are
never more than the connections of the process, ALCHEMYST_DB_POOL: one beats, one writes, two do
tasks, and the rest is shared by requests to Django and by what asks on behalf of an event loop.
With fewer than LEAST_CONNECTIONS they wait for one another's. The other threads never touch it.

    requests   Django's own: pages, admin, API    half of the rest
    database   short questions of event loops     half of the rest
    writer     the event log                      1
    heartbeat  leases, blocks, switches           1
    tasks      imports, exports, cleaning         2
    cpu        reading and filtering of bodies    2
    network    blocking calls to Redis            4
    encoder    vectors that a request waits for   1
    learner    vectors that nobody waits for      1
    processes  starts and ends of a child         1
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.conf import settings

from proxy.common.runtime.per_loop import PerLoop

Params = ParamSpec("Params")
Result = TypeVar("Result")

WRITER_THREADS: Final = 1
HEARTBEAT_THREADS: Final = 1
TASK_THREADS: Final = 2
# Bounds of each half of the database's connections; more threads only wait for the interpreter.
LEAST_SHARED: Final = 2
MOST_SHARED: Final = 8

# Two suffice: they share one interpreter, and one long body leaves the other free.
CPU_THREADS: Final = 2
NETWORK_THREADS: Final = 4
# The encoder lets go of the interpreter while it computes.
ENCODER_THREADS: Final = 1
LEARNER_THREADS: Final = 1
LEARNER_NICENESS: Final = 15
PROCESS_THREADS: Final = 1

_RESERVED = WRITER_THREADS + HEARTBEAT_THREADS + TASK_THREADS
LEAST_CONNECTIONS: Final = _RESERVED + 2 * LEAST_SHARED
# SQLite has no pool; it gets the threads of PostgreSQL's usual one.
USUAL_CONNECTIONS: Final = 10


class Shared(NamedTuple):
    """How many threads Django's requests and the event loops have."""

    requests: int
    database: int


def shared(connections: int) -> Shared:
    """Return how the connections of a process that are not reserved are shared out."""
    left = connections - _RESERVED
    requests, database = left // 2, left - left // 2
    return Shared(*(min(max(each, LEAST_SHARED), MOST_SHARED) for each in (requests, database)))


def _connections() -> int:
    pool = settings.DATABASES["default"].get("OPTIONS", {}).get("pool")
    return int(pool["max_size"]) if pool else USUAL_CONNECTIONS


def _threads(name: str, count: int, begin: Callable[[], None] | None = None) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix=name, initializer=begin)


def _give_way() -> None:
    """Let every other thread of the machine go first, where a thread has a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEARNER_NICENESS)


SHARED = shared(_connections())

# One executor for each: all of a request, and its transactions with it, stay on one thread.
REQUESTS = [_threads(f"requests-{number}", 1) for number in range(SHARED.requests)]
DATABASE = _threads("database", SHARED.database)
WRITER = _threads("writer", WRITER_THREADS)
HEARTBEAT = _threads("heartbeat", HEARTBEAT_THREADS)
TASKS = _threads("task", TASK_THREADS)
CPU = _threads("cpu", CPU_THREADS)
NETWORK = _threads("network", NETWORK_THREADS)
ENCODER = _threads("encoder", ENCODER_THREADS)
LEARNER = _threads("learner", LEARNER_THREADS, _give_way)
# As long as the process: Linux ends a child with the thread that started it.
PROCESSES = _threads("processes", PROCESS_THREADS)


def on_database_thread(
    call: Callable[Params, Result], *, at_most: int | None = None
) -> Callable[Params, Coroutine[Any, Any, Result]]:
    """Return `call`, a short question to the database, for use on an event loop.

    It takes `at_most` of these threads at once, where given, so that a flood of such questions, or
    a slow one, leaves threads for others.
    """
    ask = _on(DATABASE, call)
    if at_most is None:
        return ask
    turns = PerLoop(lambda: asyncio.Semaphore(at_most))

    async def ask_in_turn(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        async with turns.get():
            return await ask(*args, **kwargs)

    return ask_in_turn


def on_writer_thread(
    call: Callable[Params, Result],
) -> Callable[Params, Coroutine[Any, Any, Result]]:
    """Do the same on the one thread that no reader may keep waiting."""
    return _on(WRITER, call)


def on_heartbeat_thread(
    call: Callable[Params, Result],
) -> Callable[Params, Coroutine[Any, Any, Result]]:
    """Do the same on the one thread of what must happen each second, whoever else is slow."""
    return _on(HEARTBEAT, call)


def _on(
    executor: ThreadPoolExecutor, call: Callable[Params, Result]
) -> Callable[Params, Coroutine[Any, Any, Result]]:
    run: Callable[Params, Coroutine[Any, Any, Result]] = database_sync_to_async(
        call, thread_sensitive=False, executor=executor
    )
    return run
