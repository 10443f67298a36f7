"""Alive? Ready? For load balancers and container platforms; no token needed, no details given."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection
from django.http import HttpRequest, JsonResponse

from proxy.common.outages import DATABASE, REDIS, STORAGE, cause_of, outages
from proxy.common.redis import client
from proxy.models import FilterSwitch
from proxy.upstream import builtin_state

OK = "ok"
# Enough that a disk which takes it takes a transaction.
TRIED_BYTES = 64 * 1024


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": OK})


def ready(request: HttpRequest) -> JsonResponse:
    """Whether requests can be served: 503 without a database that can be read and written.

    Redis is not needed to serve (limits fall back to this process), nor is the built-in model, so
    that their absence is reported as "degraded", with 200. The model is not started to find out:
    "untried" is one that nobody asked for yet.
    """
    parts = {part: look(part) for part in _parts()}
    advice = {}
    if not settings.C1_BASE_URL:
        model = builtin_state.recall()
        parts["model"] = model.status
        advice = {"advice": model.failure} if model.failure else {}
    if {parts[DATABASE], parts[STORAGE]} != {OK}:
        status, code = "unavailable", 503
    else:
        status, code = (OK if set(parts.values()) <= {OK, "untried"} else "degraded"), 200
    return JsonResponse({"status": status, **parts, **advice}, status=code)


def look(part: str) -> str:
    """Try a part, and return its state; that it is away, or back, is logged once."""
    if part == STORAGE and DATABASE in outages.lasting():
        # Nobody to ask.
        return "unknown"
    try:
        _TRIES[part]()
    except (DatabaseFault, redis.RedisError, OSError) as error:
        outages.report(error)
        cause = cause_of(error)
        return cause.state if cause else "unreachable"
    outages.end(part)
    return OK


def look_again() -> None:
    """Look whether what was away is back."""
    for part in outages.lasting():
        look(part)


def _parts() -> list[str]:
    return [DATABASE, STORAGE, *([REDIS] if settings.REDIS_URL else [])]


def _try_database() -> None:
    """Read what each version has a table for: a database without it is not migrated."""
    FilterSwitch.objects.exists()


def _try_storage() -> None:
    """Write beside SQLite's file; ask PostgreSQL whether it takes what is written.

    A replica that takes over late, or not at all, answers and can only be read.
    """
    if connection.vendor == "sqlite":
        try:
            with tempfile.TemporaryFile(dir=settings.DATA_DIR) as file:
                file.write(os.urandom(TRIED_BYTES))
                file.flush()
        except PermissionError:
            raise OSError(errno.EROFS, "read-only") from None
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        if cursor.fetchone() == ("on",):
            raise OSError(errno.EROFS, "read-only")


def _try_redis() -> None:
    if settings.REDIS_URL:
        with client(settings.REDIS_URL) as connected:
            connected.ping()


_TRIES: dict[str, Callable[[], None]] = {
    DATABASE: _try_database,
    STORAGE: _try_storage,
    REDIS: _try_redis,
}
