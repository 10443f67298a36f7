"""Alive and ready, for whoever watches over the process."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.conf import settings as configured
from django.db import OperationalError, connection
from django.test import Client

from proxy.upstream import builtin, builtin_state


@pytest.fixture(autouse=True)
def nothing_remembered(
    settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new installation, whose built-in model nobody has asked yet."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(builtin_state, "_last", "")


def test_a_living_process_says_so_without_a_token(client: Client):
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_it_is_ready_when_the_database_answers(client: Client):
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert ("redis" in answer.json()) == bool(configured.REDIS_URL)


@pytest.mark.django_db
def test_it_is_not_ready_without_the_database(client: Client, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> None:
        raise OperationalError("secret-host refused")

    monkeypatch.setattr(connection, "cursor", refuse)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["database"] == "unreachable"
    assert "secret-host" not in answer.content.decode()


@pytest.mark.django_db
def test_it_is_degraded_without_redis(client: Client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "degraded",
        "database": "ok",
        "storage": "ok",
        "redis": "unreachable",
        "model": "untried",
    }


@pytest.mark.django_db
class TestTheBuiltInModel:
    def test_is_not_started_by_the_question(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(builtin, "_spawn", lambda: pytest.fail("was started"))

        assert client.get("/readyz").json()["model"] == "untried"

    def test_that_works_is_ok(self, client: Client) -> None:
        builtin_state.remember("")

        assert client.get("/readyz").json()["model"] == "ok"

    def test_that_does_not_work_degrades_and_says_why(self, client: Client) -> None:
        builtin_state.remember("The processor is too old.")

        answer = client.get("/readyz")

        assert answer.status_code == 200
        assert answer.json()["status"] == "degraded"
        assert answer.json()["model"] == "unavailable"
        assert answer.json()["advice"] == "The processor is too old."

    def test_is_not_spoken_of_where_another_server_answers(
        self, client: Client, settings: LazySettings
    ) -> None:
        settings.C1_BASE_URL = "http://models.internal/v1"

        assert "model" not in client.get("/readyz").json()


@pytest.mark.django_db
def test_sqlite_lets_writers_wait_for_each_other():
    if connection.vendor != "sqlite":
        pytest.skip("runs on SQLite")
    with connection.cursor() as cursor:
        journal = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        patience = cursor.execute("PRAGMA busy_timeout").fetchone()[0]

    assert journal in ("wal", "memory")
    assert patience == 5000
    assert connection.transaction_mode == "IMMEDIATE"
