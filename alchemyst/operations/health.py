"""Alive? Ready? For load balancers and container platforms; no token needed, no details given."""

from __future__ import annotations

import logging

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from proxy.common.redis import client
from proxy.upstream import builtin_state

logger = logging.getLogger("alchemyst.operations.health")


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Whether requests can be served: 503 without the database.

    Redis is not needed to serve (limits fall back to this process), nor is the built-in model, so
    that their absence is reported as "degraded", with 200. The model is not started to find out:
    "untried" is one that nobody asked for yet.
    """
    parts = {"database": _database()}
    if settings.REDIS_URL:
        parts["redis"] = _redis()
    advice = {}
    if not settings.C1_BASE_URL:
        model = builtin_state.recall()
        parts["model"] = model.status
        advice = {"advice": model.failure} if model.failure else {}
    if parts["database"] != "ok":
        status, code = "unavailable", 503
    else:
        status, code = ("ok" if set(parts.values()) <= {"ok", "untried"} else "degraded"), 200
    return JsonResponse({"status": status, **parts, **advice}, status=code)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("The database does not answer: %s", type(error).__name__)
        return "unreachable"
    return "ok"


def _redis() -> str:
    try:
        with client(settings.REDIS_URL) as connected:
            connected.ping()
    except redis.RedisError as error:
        logger.warning("Redis does not answer: %s", type(error).__name__)
        return "unreachable"
    return "ok"
