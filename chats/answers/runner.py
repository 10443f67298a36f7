"""Who runs answers: tasks on the loop of the process that took the question.

One watcher for all of them renews their leases, so that other processes know that they are alive,
and polls for those that somebody asked to stop. A process that shuts down lets its answers finish
for a while, then ends them as incomplete.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextvars import Context
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from chats.answers import titles
from chats.answers.admission import Lease
from chats.answers.request import StartedAnswer
from chats.answers.run import STOPS, Run
from chats.answers.start import LEASE
from chats.errors import Restarting
from chats.eventlog import notify
from chats.models import Generation
from proxy.common.outages import outages
from proxy.common.runtime.per_loop import PerLoop
from proxy.common.runtime.threads import on_heartbeat_thread

# How late a stop is noticed whose notification was lost.
POLL_SECONDS = 1.0
RENEW_SECONDS = LEASE.total_seconds() / 4
# How long answers may go on in a process that shall end.
GRACE_SECONDS = 20.0

logger = logging.getLogger(__name__)


class Runner:
    """The answers of one event loop."""

    def __init__(self) -> None:
        self.is_draining = False
        self._runs: dict[UUID, tuple[Run, asyncio.Task[None]]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._background_tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._runs)

    def start(self, generation_id: UUID, lease: Lease) -> None:
        run = Run(generation_id, lease)
        # A page's view starts it from a thread, whose context dies with the request.
        task = asyncio.get_running_loop().create_task(self._run(run), context=Context())
        self._runs[generation_id] = run, task
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.get_running_loop().create_task(
                self._watch_leases(), context=Context()
            )

    async def drain(self, grace: float) -> None:
        """Let the answers finish for so long; what then still runs ends as incomplete."""
        self.is_draining = True
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=grace)
        self.interrupt(list(self._runs), Generation.State.INCOMPLETE)
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=10)
        for task in list(self._background_tasks):
            task.cancel()
        if self._background_tasks:
            await asyncio.wait(self._background_tasks, timeout=5)

    def interrupt(self, generation_ids: list[UUID], state: str) -> None:
        """End these answers before their end."""
        for generation_id in generation_ids:
            run, task = self._runs[generation_id]
            if not run.is_persisting and not run.interruption:
                run.interruption = state
                task.cancel()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for _, task in self._runs.values()]

    async def _run(self, run: Run) -> None:
        try:
            is_complete = await run.run()
        finally:
            self._runs.pop(run.generation_id, None)
        if is_complete and not self.is_draining:
            self._background(titles.set_title(run.generation_id))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background_tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._background_tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("A title failed: %s", type(error).__name__, exc_info=error)

    async def _watch_leases(self) -> None:
        renewed = time.monotonic()
        with notify.subscribed(STOPS) as subscription:
            while self._runs:
                await subscription.wait(POLL_SECONDS)
                is_due = time.monotonic() - renewed >= RENEW_SECONDS
                try:
                    stopped, gone = await _poll_leases(list(self._runs), renew=is_due)
                except DatabaseError as error:
                    if not outages.report(error):
                        logger.warning("Leases could not be polled: %s", type(error).__name__)
                    continue
                if is_due:
                    renewed = time.monotonic()
                self.interrupt([pk for pk in stopped if pk in self._runs], Generation.State.STOPPED)
                lost = [pk for pk in gone if pk in self._runs]
                self.interrupt(lost, Generation.State.INCOMPLETE)


@on_heartbeat_thread
def _poll_leases(generation_ids: list[UUID], *, renew: bool) -> tuple[list[UUID], list[UUID]]:
    """Return which of these answers shall stop, and which are no longer ours; renew the leases."""
    running = Generation.objects.running().filter(pk__in=generation_ids)
    if renew:
        running.update(lease_until=timezone.now() + LEASE)
    stop_flags = dict(running.values_list("pk", "stop_requested"))
    stopped = [pk for pk, is_stopped in stop_flags.items() if is_stopped]
    return stopped, [pk for pk in generation_ids if pk not in stop_flags]


_runners = PerLoop(Runner)


def runner() -> Runner:
    """Return the running loop's runner."""
    return _runners.get()


def refuse_if_draining() -> None:
    """Raise Restarting in a process that shall end."""
    if runner().is_draining:
        raise Restarting


async def start(answer: StartedAnswer) -> None:
    """Have an answer written here, unless it was started before."""
    if answer.lease:
        runner().start(answer.generation.pk, answer.lease)
