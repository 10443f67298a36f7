"""What one process does while others that want to do the same wait, and then find it done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connections

from proxy.common.runtime.folder_lock import Notice, folder_lock

# "alchemys" in ASCII: a number that no other application on the same database takes by chance.
MIGRATING = 0x616C6368656D7973
POLL_SECONDS = 0.2


@contextmanager
def database_lock(alias: str, *, on_wait: Notice) -> Iterator[None]:
    """Hold a database for a change of its schema; `on_wait` is called if another process has it.

    PostgreSQL's lock ends with its connection, SQLite's with the process, however either ends.
    """
    connection = connections[alias]
    if connection.vendor == "postgresql":
        # A connection of its own: those of the pool are put back in between.
        with connection.wrap_database_errors:
            own = psycopg.connect(**connection.get_connection_params(), autocommit=True)
        with own, _advisory(own, on_wait):
            yield
    else:
        with folder_lock(settings.DATA_DIR, on_wait=on_wait):
            yield


@contextmanager
def _advisory(own: psycopg.Connection[tuple[bool]], on_wait: Notice) -> Iterator[None]:
    """Hold the lock, which is tried again and again.

    A statement that waits would keep a snapshot, for which whoever has the lock may have to wait
    (CREATE INDEX CONCURRENTLY).
    """
    if not _try(own):
        on_wait()
        while not _try(own):
            time.sleep(POLL_SECONDS)
    yield


def _try(own: psycopg.Connection[tuple[bool]]) -> bool:
    row = own.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATING]).fetchone()
    return bool(row and row[0])
