"""Background work: by workers where some live, else in the process that was asked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from celery import shared_task
from django.conf import LazySettings
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction

from alchemyst import celery
from alchemyst.celery import in_process_runner
from alchemyst.operations import periodic_tasks

done: list[tuple[int, str]] = []
gate = threading.Event()


@shared_task
def record_word(word: str) -> None:
    gate.wait(10)
    done.append((threading.get_ident(), word))


@shared_task
def broken() -> None:
    raise ValueError("no such thing")


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    done.clear()
    gate.set()
    _forget()
    yield
    gate.set()
    assert in_process_runner.settle(10)
    _forget()


def _forget() -> None:
    """Forget which periodic tasks were started, and that a worker was seen."""
    periodic_tasks._started.clear()
    celery.worker_presence._until = 0.0


@pytest.fixture
def alone(settings: LazySettings) -> None:
    """No broker."""
    settings.REDIS_URL = ""


@pytest.mark.usefixtures("alone")
class TestWithoutABroker:
    def test_a_task_runs_in_this_process_while_its_caller_goes_on(self):
        gate.clear()

        record_word.delay("tea")

        assert not done
        gate.set()
        assert in_process_runner.settle(10)
        ((thread, word),) = done
        assert word == "tea"
        assert thread != threading.get_ident()

    def test_a_task_that_waits_already_is_not_taken_twice(self):
        gate.clear()
        for word in ("first", "second", "same", "same", "same"):
            record_word.delay(word)

        gate.set()

        assert in_process_runner.settle(10)
        assert sorted(word for _, word in done) == ["first", "same", "second"]

    def test_a_task_that_fails_is_told_in_the_log_and_hurts_nobody(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(celery.logger, "propagate", True)
        broken.delay()
        record_word.delay("after")

        assert in_process_runner.settle(10)
        assert [word for _, word in done] == ["after"]
        assert "A task failed: tests.roof.test_tasks.broken" in caplog.text

    @pytest.mark.django_db(transaction=True)
    def test_a_task_called_on_commit_waits_for_the_commit(self):
        with transaction.atomic():
            record_word.delay_on_commit("kept")
            assert in_process_runner.settle(10)
            assert not done

        assert in_process_runner.settle(10)
        assert [word for _, word in done] == ["kept"]

    @pytest.mark.django_db(transaction=True)
    def test_a_task_called_on_commit_is_dropped_with_the_transaction(self):
        with transaction.atomic():
            record_word.delay_on_commit("lost")
            transaction.set_rollback(True)

        assert in_process_runner.settle(10)
        assert not done


class TestWithABroker:
    def test_that_is_down_a_task_runs_here(self, settings: LazySettings):
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        celery.worker_presence._client = None

        record_word.delay("anyway")

        assert in_process_runner.settle(10)
        assert [word for _, word in done] == ["anyway"]
        celery.worker_presence._client = None

    def test_that_has_no_worker_a_task_runs_here(self, broker: redis.Redis):
        broker.delete(celery.WORKERS)

        record_word.delay("nobody else")

        assert in_process_runner.settle(10)
        assert [word for _, word in done] == ["nobody else"]

    def test_that_fails_after_a_worker_was_seen_a_task_runs_here(self, broker: redis.Redis):
        broker.set(celery.WORKERS, 1, ex=30)
        dead = celery.app.connection_for_write("redis://127.0.0.1:1/0")

        record_word.apply_async(["all the same"], connection=dead)

        assert in_process_runner.settle(10)
        assert [word for _, word in done] == ["all the same"]

    def test_and_a_worker_a_task_runs_there(self, broker: redis.Redis):
        broker.delete(celery.WORKERS, "worked")
        command = [sys.executable, "-m", "celery", "-A", "alchemyst", "worker", "--pool", "solo"]
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "alchemyst.settings"}
        worker = subprocess.Popen([*command, "--include", __name__], env=environment)
        try:
            assert _comes_true(lambda: bool(broker.exists(celery.WORKERS)))
            celery.worker_presence._until = 0.0

            send_word.delay("tea")

            assert _comes_true(lambda: broker.get("worked") == b"tea")
            assert not done
        finally:
            worker.terminate()
            worker.wait(20)
            broker.delete(celery.WORKERS, "worked")


class TestPeriodicTasks:
    @pytest.fixture(autouse=True)
    def _scheduled(self, settings: LazySettings) -> Iterator[None]:
        cache.delete("periodic:note")
        settings.CELERY_BEAT_SCHEDULE = {
            "note": {"task": "tests.roof.test_tasks.periodic", "schedule": 3600}
        }
        yield
        cache.delete("periodic:note")

    def test_start_when_they_are_due(self, alone: None):
        periodic_tasks.start_due()
        periodic_tasks.start_due()

        assert in_process_runner.settle(10)
        assert [word for _, word in done] == ["again"]

    def test_are_started_by_one_of_the_processes_that_share_a_cache(self, alone: None):
        periodic_tasks.start_due()
        periodic_tasks._started.clear()  # as another process sees it
        periodic_tasks.start_due()

        assert in_process_runner.settle(10)
        assert [word for _, word in done] == ["again"]


def test_a_cache_takes_the_names_of_periodic_tasks_without_a_warning(settings: LazySettings):
    for name in settings.CELERY_BEAT_SCHEDULE:
        LocMemCache("names", {}).validate_key(f"periodic:{name}")


def test_redis_hands_a_task_out_again_only_when_it_can_run_no_longer(settings: LazySettings):
    visible_after = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]

    assert visible_after > settings.CELERY_TASK_TIME_LIMIT > settings.CELERY_TASK_SOFT_TIME_LIMIT
    assert settings.CELERY_TASK_ACKS_LATE


@shared_task
def periodic() -> None:
    done.append((threading.get_ident(), "again"))


@shared_task
def send_word(word: str) -> None:
    """Leave a word in Redis, where a test can read it."""
    celery.worker_presence.client.set("worked", word)


@pytest.fixture
def broker(settings: LazySettings) -> Iterator[redis.Redis]:
    if not settings.REDIS_URL:
        pytest.skip("needs Redis")
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


def _comes_true(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False
