"""What an operator most often gets wrong, and what must not start at all.

Django runs its checks for management commands only, so `asgi.py` calls `refuse_unsafe` as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from alchemyst import env

LEAST_SECRET = 32


def unsafe_settings() -> Iterator[str]:
    """Yield a sentence for each setting that must not meet the world; nothing while debugging."""
    if settings.DEBUG:
        return
    for variable, value in (
        ("ALCHEMYST_SECRET_KEY", settings.SECRET_KEY),
        ("ALCHEMYST_JWT_KEY", settings.JWT_KEY),
        *(("ALCHEMYST_VAULT_KEY", key) for key in settings.VAULT_KEYS),
    ):
        if len(value) < LEAST_SECRET or value.startswith("django-insecure-"):
            yield f"{variable} is too weak: use at least {LEAST_SECRET} random characters."
    if settings.SECRET_KEY == settings.JWT_KEY:
        yield "ALCHEMYST_JWT_KEY must differ from ALCHEMYST_SECRET_KEY."
    if {settings.SECRET_KEY, settings.JWT_KEY} & set(settings.VAULT_KEYS):
        yield "ALCHEMYST_VAULT_KEY must differ from the other keys."
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield "ALCHEMYST_ALLOWED_HOSTS must name the hosts served, not '*'."


def refuse_unsafe() -> None:
    """Raise ImproperlyConfigured with every unsafe setting named."""
    if sentences := list(unsafe_settings()):
        raise ImproperlyConfigured(
            "Unsafe settings while ALCHEMYST_DEBUG is off: " + " ".join(sentences)
        )


def no_unsafe_setting(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [Error(sentence, id="alchemyst.E001") for sentence in unsafe_settings()]


def what_operators_get_wrong(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [Warning(text, hint=hint, id=f"alchemyst.{name}") for name, text, hint in _doubtful()]


def _doubtful() -> Iterator[tuple[str, str, str]]:
    """Yield the id, what contradicts what, and what to do."""
    is_file = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    many = env.integer("WEB_CONCURRENCY", 1) > 1
    if many and is_file:
        yield (
            "W001",
            "Several processes share one SQLite file, and each counts limits for itself.",
            "Set DATABASE_URL to a PostgreSQL, or WEB_CONCURRENCY to 1.",
        )
    if many and not settings.REDIS_URL:
        yield (
            "W002",
            "Several processes serve without Redis: rates are counted in each, and what one "
            "streams the others learn late.",
            "Set REDIS_URL.",
        )
    if settings.REDIS_URL and is_file:
        yield (
            "W003",
            "Redis is set but the database is a file: other machines can't share it.",
            "Set DATABASE_URL to a PostgreSQL, or leave REDIS_URL out.",
        )
    is_local = set(settings.ALLOWED_HOSTS) <= {"localhost", "127.0.0.1", "[::1]", "testserver"}
    if not settings.HTTPS and not settings.DEBUG and not is_local:
        yield (
            "W004",
            "Names are served without ALCHEMYST_HTTPS: cookies and tokens travel in the clear.",
            "Put TLS in front and set ALCHEMYST_HTTPS=true.",
        )
    if settings.HTTPS and not settings.TRUSTED_PROXIES:
        yield (
            "W005",
            "ALCHEMYST_HTTPS is on, but no proxy is trusted: a request that arrives in the clear "
            "from your proxy is redirected for ever.",
            "Set ALCHEMYST_TRUSTED_PROXIES to how many proxies stand in front, usually 1.",
        )
    if settings.METRICS_TOKEN and many and not settings.PROMETHEUS_MULTIPROC_DIR:
        yield (
            "W006",
            "Several processes serve, and /metrics tells of one of them alone.",
            "Set PROMETHEUS_MULTIPROC_DIR to a folder that is emptied at each start.",
        )
