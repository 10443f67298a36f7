"""What an operator most often gets wrong, and what must not start at all.

Django runs its checks for management commands only, so `asgi.py` asks `refuse_unsafe` as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

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
    if found := list(unsafe_settings()):
        raise ImproperlyConfigured(
            "Unsafe settings while ALCHEMYST_DEBUG is off: " + " ".join(found)
        )


@register
def no_unsafe_setting(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [Error(sentence, id="alchemyst.E001") for sentence in unsafe_settings()]
