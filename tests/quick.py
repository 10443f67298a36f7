"""What spares the suite work that Django and its parts would do again for every test.

Of a profile of the suite, scanning the static files for each test's client took a third, and
telling of a migration after each emptied database a quarter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.creation import DatabaseCreation
from django.test import TransactionTestCase
from servestatic.middleware import ServeStaticMiddleware

from proxy.models import Price

# Rows that a migration makes for every model, and no test changes.
KEPT = {"django_content_type", "auth_permission"}


@pytest.fixture(scope="session", autouse=True)
def quick_tests() -> Iterator[None]:
    """Scan the static files once, empty the tables that have rows, drop a database at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServeStaticMiddleware, "add_files_from_finders", _StaticFiles().add_to)
        patch.setattr(TransactionTestCase, "_fixture_teardown", _empty_databases)
        patch.setattr(DatabaseCreation, "_destroy_test_db", _drop)
        yield


class _StaticFiles:
    """The static files as the first client of the suite finds them."""

    def __init__(self) -> None:
        self.scan = ServeStaticMiddleware.add_files_from_finders
        self.first: ServeStaticMiddleware | None = None

    @property
    def add_to(self) -> Any:
        def add_files(middleware: ServeStaticMiddleware) -> None:
            if self.first is None:
                self.scan(middleware)
                self.first = middleware
            middleware.files = self.first.files
            middleware.directories = self.first.directories

        return add_files


def _empty_databases(case: TransactionTestCase) -> None:
    for alias in case._databases_names(include_mirrors=False):
        _empty(connections[alias])
        Price.ship(alias)


def _empty(connection: BaseDatabaseWrapper) -> None:
    """Delete all rows, in one transaction, for its keys are looked at when it ends.

    PostgreSQL's TRUNCATE takes fifty times as long, and waits for each reader.
    """
    quote = connection.ops.quote_name
    tables = set(connection.introspection.django_table_names(only_existing=True)) - KEPT
    has_rows = (f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})" for table in tables)
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(has_rows))
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {quote(table)}")


def _drop(creation: DatabaseCreation, name: str, verbosity: int) -> None:
    """Drop the tests' database, whoever of an ended server is still connected to it."""
    with creation._nodb_cursor() as cursor:
        name = creation.connection.ops.quote_name(name)
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
