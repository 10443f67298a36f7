"""Work that no request waits for: by Celery's workers where some live, else in this process.

A task is called in one way, `task.delay(...)` or `task.delay_on_commit(...)`, whatever the
installation. Tasks are safe to run twice, and what must not be forgotten stands in the database:
a queue may lose a task, and a sweep finds what is left undone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Lock
from typing import Any

import redis
from celery import Celery
from celery.contrib.django.task import DjangoTask
from django.conf import settings
from django.db import connections
from kombu.exceptions import OperationalError

from proxy.common.outages import REDIS, outages
from proxy.common.redis import client

logger = logging.getLogger("alchemyst.tasks")

# Workers say that they live by a key in Redis, each two seconds (Celery's heartbeat).
WORKERS = "alchemyst:workers"
ALIVE_SECONDS = 30
# For so long a process caches whether one lives.
CACHE_SECONDS = 5.0

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "alchemyst.settings")


class InProcessRunner:
    """Runs tasks on a few threads of this process, each once at a time.

    What waits is not taken a second time, so a task that is submitted again and again waits once.
    What has begun when the process ends is finished; what only waits is left undone.
    """

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._running: set[Future[None]] = set()
        self._lock = Lock()

    def submit(self, key: str, work: Callable[[], object]) -> None:
        """Run `work` soon; nothing if work of that key waits already."""
        # This module is imported while the settings are read, and threads are as many as they say.
        from proxy.common.runtime import threads

        with self._lock:
            if key in self._waiting:
                return
            self._waiting.add(key)
            future = threads.TASKS.submit(self._run, key, work)
            self._running.add(future)
        future.add_done_callback(self._running.discard)

    def settle(self, seconds: float) -> bool:
        """Wait until nothing waits or runs; say whether that came about."""
        end = time.monotonic() + seconds
        while running := set(self._running):
            if wait(running, timeout=max(0, end - time.monotonic())).not_done:
                return False
        return True

    def close(self, seconds: float) -> None:
        """Forget what waits, and let what runs end, or step back, within some seconds."""
        from proxy.common.runtime import threads

        for future in set(self._running):
            future.cancel()
        self._waiting.clear()
        threads.ENDING.set()
        if self.settle(seconds):
            threads.ENDING.clear()

    def _run(self, key: str, work: Callable[[], object]) -> None:
        with self._lock:
            self._waiting.discard(key)
        try:
            work()
        except Exception:
            logger.exception("A task failed: %s", key.partition("(")[0])
        finally:
            connections.close_all()


in_process_runner = InProcessRunner()


class Task(DjangoTask):
    """A task that finds its own place to run; calling it never fails and hardly ever waits."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        args, kwargs = tuple(args or ()), dict(kwargs or {})
        if has_workers():
            try:
                return super().apply_async(args, kwargs, **options)
            except (OperationalError, redis.RedisError) as error:
                if not outages.report(error.__cause__ or error):
                    logger.warning("Redis takes no task (%s): it runs here.", type(error).__name__)
                worker_presence.forget()
        # `throw`, or Celery would keep a failure to itself.
        key = f"{self.name}{args}{sorted(kwargs.items())}"
        return in_process_runner.submit(key, lambda: self.apply(args, kwargs, throw=True))


class WorkerPresence:
    """Whether a worker lives, as this process last read. A silent Redis counts as none."""

    def __init__(self) -> None:
        self._client: redis.Redis | None = None
        self._has_workers = False
        self._until = 0.0

    def has_workers(self) -> bool:
        if time.monotonic() >= self._until:
            self._has_workers = self._ask()
            self._until = time.monotonic() + CACHE_SECONDS
        return self._has_workers

    def forget(self) -> None:
        """Assume no worker for a while."""
        self._has_workers, self._until = False, time.monotonic() + CACHE_SECONDS

    def _ask(self) -> bool:
        try:
            return bool(self.client.exists(WORKERS))
        except redis.RedisError:
            return False

    @property
    def client(self) -> redis.Redis:
        if self._client is None:
            self._client = client(settings.REDIS_URL)
        return self._client


worker_presence = WorkerPresence()


def has_workers() -> bool:
    """Whether there is a broker, and a worker that takes tasks from it."""
    return bool(settings.REDIS_URL) and worker_presence.has_workers()


def say_alive(**kwargs: Any) -> None:
    """In a worker: say so."""
    try:
        worker_presence.client.set(WORKERS, 1, ex=ALIVE_SECONDS)
    except redis.RedisError as error:
        outages.report(error)
    else:
        outages.end(REDIS)


def keep_our_logging(**kwargs: Any) -> None:
    """In a worker: logs are as settings.LOGGING says, with secrets masked."""


app = Celery("alchemyst", task_cls=Task)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
