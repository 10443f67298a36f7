"""What is asked of limits before anything is done, and how a refusal is told.

A *holder* is whoever takes something: one request, or one answer that goes on by itself.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from functools import lru_cache

from django.db import DatabaseError
from redis import RedisError
from rest_framework.exceptions import APIException, Throttled

from alchemyst.accounts.limits.stores import Acquire, Refusal
from alchemyst.accounts.models.limit import KINDS
from alchemyst.accounts.models.quota_limit import QuotaLimit

logger = logging.getLogger("alchemyst.accounts")

MINUTE, DAY = 60, 86_400
# For the kinds whose counters nothing is ever added to, any window would do.
SECONDS = {
    "requests_per_minute": MINUTE,
    "requests_per_day": DAY,
    "tokens_per_day": DAY,
    "streams": DAY,
}
# When a hold will be released nobody knows; an answer of usual length has ended by then.
HELD_RETRY_SECONDS = 2
STORE_ERRORS = (RedisError, DatabaseError)

PROCESS = secrets.token_hex(8)
_numbers = itertools.count(1)


class TooFast(Throttled):
    """Waiting helps: the minute ends, or another request does."""

    default_code = "rate_limit_exceeded"

    def __init__(self, wait: float | None, message: str) -> None:
        APIException.__init__(self, message)
        self.wait = wait


class QuotaExhausted(TooFast):
    """The day's share is used up."""

    default_code = "insufficient_quota"


@lru_cache(maxsize=1024)
def admission_requests(limits: tuple[QuotaLimit, ...]) -> tuple[list[QuotaLimit], list[Acquire]]:
    """Return what a request takes before its body is read, and of which limits."""
    admitting = [limit for limit in limits if limit.kind != "tokens_per_day"]
    acquires = [
        Acquire(
            limit.key,
            SECONDS[limit.kind],
            limit.most,
            *((0, 1) if limit.kind == "streams" else (1,)),
        )
        for limit in admitting
    ]
    return admitting, acquires


def new_holder() -> str:
    """Return a name for what holds something, which no other process gives."""
    return f"{PROCESS}{next(_numbers):x}"


def refusal_error(limit: QuotaLimit, acquire: Acquire, refused: Refusal) -> TooFast:
    """Return what the caller is told of a refusal."""
    whose = {"user": "Your", "group": "Your group's", "key": "This API key's"}
    name = f"{whose[limit.subject.partition(':')[0]]} limit of {limit.most:,} {KINDS[limit.kind]}"
    if refused.is_held:
        return TooFast(HELD_RETRY_SECONDS, f"{name} is taken by requests under way.")
    seconds = SECONDS[limit.kind]
    wait = seconds - time.time() % seconds
    if limit.kind == "requests_per_minute":
        return TooFast(wait, f"{name} is reached.")
    if limit.most < acquire.hold:
        # No day will have room for it.
        return QuotaExhausted(None, f"{name} is less than this request may take.")
    return QuotaExhausted(wait, f"{name} is used up.")


def log_failed_release(error: Exception) -> None:
    """Log that a store could not record a release: the hold ends by itself."""
    logger.warning("A limit's hold stays for a while: %s", type(error).__name__)
