"""What the application stands on and may be away: named in words, once, and once when it is back.

A mishap of the operator's machine meets every request and every task at once. Whoever meets it
hands it to `report`; whoever looks whether it is over says so by `end`.
"""

from __future__ import annotations

import errno
import logging
import time
from dataclasses import dataclass
from threading import Lock
from typing import Final

import redis
from django.db import DatabaseError, InterfaceError, OperationalError

DATABASE: Final = "database"
REDIS: Final = "redis"
STORAGE: Final = "storage"

# What lasts is told of again after so long: a log may have been turned over.
REMIND_SECONDS = 600.0

logger = logging.getLogger("proxy.common.outages")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something can't be used: which part, its state for programs, words for operators."""

    part: str
    state: str
    words: str
    advice: str


UNREACHABLE = Cause(
    DATABASE,
    "unreachable",
    "The database does not answer.",
    "Look at DATABASE_URL, and whether it runs and lets us in.",
)
BUSY = Cause(
    DATABASE,
    "busy",
    "The database is locked by another writer for longer than we wait.",
    "If it stays, look for a process that keeps a transaction open; many writers need PostgreSQL.",
)
UNMIGRATED = Cause(
    DATABASE,
    "not migrated",
    "The database lacks a table or a column.",
    "Run: python manage.py migrate",
)
FULL = Cause(
    STORAGE,
    "full",
    "The disk is full: nothing can be written.",
    "Make room where the database and ALCHEMYST_DATA_DIR are; nothing needs to be restarted.",
)
READ_ONLY = Cause(
    STORAGE,
    "read-only",
    "The data folder or the database can't be written.",
    "Let this process's user write to ALCHEMYST_DATA_DIR, or name a database that can be written.",
)
REDIS_AWAY = Cause(
    REDIS,
    "unreachable",
    "Redis does not answer: each process goes on by itself.",
    "Look at REDIS_URL, and whether it runs.",
)

_BY_ERRNO = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EROFS: READ_ONLY,
}
# Names of SQLite's results, without what follows a second underscore.
_BY_SQLITE_NAME = {
    "SQLITE_FULL": FULL,
    "SQLITE_IOERR": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_CANTOPEN": READ_ONLY,
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_SQLSTATE = {
    "53100": FULL,
    "25006": READ_ONLY,
    "55P03": BUSY,
    "42P01": UNMIGRATED,
    "42703": UNMIGRATED,
}


def cause_of(error: BaseException | None) -> Cause | None:
    """Return the mishap that an exception tells of; None for any other fault."""
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return REDIS_AWAY
    if isinstance(error, DatabaseError | InterfaceError):
        return _cause_in_database(error)
    return _BY_ERRNO.get(error.errno or 0) if isinstance(error, OSError) else None


def _cause_in_database(error: DatabaseError | InterfaceError) -> Cause | None:
    driver = error.__cause__
    if name := getattr(driver, "sqlite_errorname", ""):
        if "no such " in str(driver):
            return UNMIGRATED
        return _BY_SQLITE_NAME.get("_".join(name.split("_")[:2]))
    if cause := _BY_SQLSTATE.get(getattr(driver, "sqlstate", None) or ""):
        return cause
    return UNREACHABLE if isinstance(error, OperationalError | InterfaceError) else None


class Outages:
    """The mishaps that last, as this process knows them."""

    def __init__(self) -> None:
        self._causes: dict[str, tuple[Cause, float]] = {}
        self._lock = Lock()

    def begin(self, cause: Cause) -> bool:
        """Note a mishap; say whether it is news, or was told of long ago."""
        now = time.monotonic()
        with self._lock:
            known, until = self._causes.get(cause.part, (None, 0.0))
            if known == cause and now < until:
                return False
            self._causes[cause.part] = cause, now + REMIND_SECONDS
        return True

    def end(self, part: str) -> None:
        """Note that a part can be used, and log it if it could not."""
        with self._lock:
            cause, _ = self._causes.pop(part, (None, 0.0))
        if cause:
            logger.warning("Over: %s", cause.words)

    def lasting(self) -> frozenset[str]:
        """The parts that can't be used."""
        return frozenset(self._causes)

    def report(self, error: BaseException) -> bool:
        """Log the mishap that an exception tells of, if it is news; say whether it is one."""
        cause = cause_of(error)
        if cause is BUSY:
            # It passes in a moment, and is none.
            logger.warning("%s %s", cause.words, cause.advice)
        elif cause and self.begin(cause):
            logger.error("%s %s", cause.words, cause.advice)
        return cause is not None


outages = Outages()
