"""The threads of a process, all of them: so many, for these purposes, and no others.

Who works with the database may hold a connection of it meanwhile, so these threads together are
never more than the connections of the process, ALCHEMYST_DB_POOL: one beats, one writes, two do
tasks, and the rest is shared by requests to Django and by what asks on behalf of an event loop.
With fewer than LEAST_CONNECTIONS they wait for one another's. The other threads never touch it.

    requests   Django's own: pages, admin, API    half of the rest; one for what reads, one for
                                                  what writes, and the others for both
    database   short questions of event loops     half of the rest; one for what reads
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
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any, Final, NamedTuple, ParamSpec, TypeAlias, TypeVar

from channels.db import database_sync_to_async
from django.conf import settings

from proxy.common.errors import Overloaded
from proxy.common.runtime.per_loop import PerLoop

Params = ParamSpec("Params")
Result = TypeVar("Result")
Question: TypeAlias = Callable[Params, Coroutine[Any, Any, Result]]
"""What an event loop asks of a thread, and awaits."""

WRITER_THREADS: Final = 1
HEARTBEAT_THREADS: Final = 1
TASK_THREADS: Final = 2
# Whoever writes may wait for a lock of the whole database. So many wait for each thread for it; who
# comes then is refused at once, rather than answered when nobody listens any more.
MOST_WAITING: Final = 16
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

# Set while the process is about to end: a long task leaves the rest to another process.
ENDING = Event()

# One executor for each: all of a request, and its transactions with it, stay on one thread.
REQUESTS = [_threads(f"requests-{number}", 1) for number in range(SHARED.requests)]
# What only reads leaves a thread to what writes, and the other way: neither waits for a flood of
# the other, or for a lock.
READING, WRITING = REQUESTS[:-1], REQUESTS[1:]
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


# Of what writes on an event loop's behalf: one thread is left to what reads.
_writing = PerLoop(lambda: asyncio.Semaphore(SHARED.database - 1))
_waiting_writes = PerLoop(lambda: Waiting((SHARED.database - 1) * MOST_WAITING))


def on_database_thread(
    call: Callable[Params, Result], *, at_most: int | None = None, writes: bool = False
) -> Question[Params, Result]:
    """Return `call`, a short question to the database, for use on an event loop.

    It takes `at_most` of these threads at once, where given, so that a flood of such questions, or
    a slow one, leaves threads for others. Whatever `writes` leaves one to whatever reads; where too
    many wait to write and no `at_most` bounds them, it raises Overloaded.
    """
    ask = _on(DATABASE, call)
    if writes:
        ask = _in_turn(ask, _writing)
    if at_most is not None:
        return _in_turn(ask, PerLoop(lambda: asyncio.Semaphore(at_most)))
    if not writes:
        return ask

    async def ask_or_refuse(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        with _waiting_writes.get().place():
            return await ask(*args, **kwargs)

    return ask_or_refuse


class Waiting:
    """How many wait for something, or have it; more than `most` are refused."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._count = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place while the context lasts; raises Overloaded."""
        if self._count >= self.most:
            raise Overloaded
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


def _in_turn(
    ask: Question[Params, Result], turns: PerLoop[asyncio.Semaphore]
) -> Question[Params, Result]:
    async def ask_in_turn(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        async with turns.get():
            return await ask(*args, **kwargs)

    return ask_in_turn


def on_writer_thread(
    call: Callable[Params, Result],
) -> Question[Params, Result]:
    """Do the same on the one thread that no reader may keep waiting."""
    return _on(WRITER, call)


def on_heartbeat_thread(
    call: Callable[Params, Result],
) -> Question[Params, Result]:
    """Do the same on the one thread of what must happen each second, whoever else is slow."""
    return _on(HEARTBEAT, call)


def _on(executor: ThreadPoolExecutor, call: Callable[Params, Result]) -> Question[Params, Result]:
    run: Question[Params, Result] = database_sync_to_async(
        call, thread_sensitive=False, executor=executor
    )
    return run
