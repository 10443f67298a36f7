"""Strict readers for environment variables: a value that makes no sense stops the start."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s*]+")


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a variable, and where it came from."""

    value: str
    origin: str
    """`environment`, `file` or `default`."""
    is_secret: bool = False


# Every variable that was read, by its name: the page of the configuration shows it.
read_settings: dict[str, Setting] = {}


def text(name: str, default: str = "") -> str:
    value = os.environ.get(name, "").strip()
    read_settings[name] = Setting(value or default, "environment" if value else "default")
    return value or default


def flag(name: str, default: bool) -> bool:
    value = text(name, str(default)).lower()
    if value not in ("true", "false", "1", "0"):
        raise ImproperlyConfigured(f"{name} is {value!r}; use 'true' or 'false'.")
    return value in ("true", "1")


def number(name: str, default: float, *, least: float = 0) -> float:
    value = text(name, str(default))
    try:
        parsed = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; use a number.") from None
    if not least <= parsed < float("inf"):
        raise ImproperlyConfigured(f"{name} is {value!r}; use a number of at least {least:g}.")
    return parsed


def integer(name: str, default: int, *, least: int = 0) -> int:
    parsed = number(name, default, least=least)
    if parsed != int(parsed):
        raise ImproperlyConfigured(f"{name} is {parsed!r}; use a whole number.")
    return int(parsed)


def choice(name: str, default: str, choices: Collection[str]) -> str:
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; use one of {', '.join(choices)}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Return the comma-separated words in NAME."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def origins(name: str) -> list[str]:
    """Return the comma-separated origins in NAME, as browsers write them: scheme://host[:port]."""
    listed = [word.lower() for word in words(name)]
    for origin in listed:
        if not _ORIGIN.fullmatch(origin):
            raise ImproperlyConfigured(
                f"{name} has {origin!r}; use origins such as https://app.example.com."
            )
    return listed


def secret(name: str, default: str = "") -> str:
    """Return the secret in NAME, or in the file that NAME_FILE points to."""
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not path:
        value = text(name, default)
        read_settings[name] = Setting(
            "set" if value else "", read_settings[name].origin, is_secret=True
        )
        return value
    read_settings[name] = Setting("set", "file", is_secret=True)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE can't be read: {error.strerror}.") from None


def secrets_in(name: str) -> list[str]:
    """Return the comma-separated secrets in NAME, or in the file that NAME_FILE points to."""
    value = secret(name)
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if value and not parts:
        raise ImproperlyConfigured(f"{name} names no secret.")
    return parts


def rate(name: str, default: str) -> tuple[int, int]:
    """Return (requests, seconds) for a value such as "600/min"; "0" means no limit."""
    seconds = {"s": 1, "sec": 1, "min": 60, "hour": 3600, "day": 86400}
    value = text(name, default)
    count, _, period = value.partition("/")
    if count == "0":
        return 0, 1
    if not count.isdecimal() or period not in seconds:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; use requests per {'/'.join(seconds)}, such as '600/min', or '0'."
        )
    return int(count), seconds[period]


def folder(name: str, default: str) -> Path:
    """Return the folder in NAME, made with mode 700 if it is not there."""
    path = Path(text(name, default)).resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(name, path, error) from None
    return path


def redis_url(name: str) -> str:
    """Return the URL of a Redis in NAME, or nothing."""
    value = secret(name)
    if value and not _is_redis(value):
        raise ImproperlyConfigured(
            f"{name} must be redis://host:port/number, rediss:// or unix://."
        )
    return value


def _is_redis(text: str) -> bool:
    try:
        url = urlsplit(text)
        if url.scheme == "unix":
            return bool(url.path)
        is_tcp = url.scheme in ("redis", "rediss")
        return is_tcp and url.port != 0 and _is_number(url.path.strip("/"))
    except ValueError:
        # A port that is no number, or brackets that hold no address.
        return False


def _is_number(text: str) -> bool:
    return not text or text.isdecimal()


def _unwritable(name: str, path: Path, error: OSError) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{path} can't be written: {error.strerror}. Let this process's user write there, or name "
        f"another folder in {name}."
    )


def database(name: str, default: str) -> dict[str, Any]:
    """Return Django's settings for the database URL in NAME: sqlite:///file, or postgres://...

    The query of a postgres URL becomes connection options (`?sslmode=require`).
    """
    try:
        url = urlsplit(secret(name, default))
        port = url.port
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} is no URL. Escape what is special in its password: @ is %40, / is %2F."
        ) from None
    if url.scheme == "sqlite" and url.path[1:]:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.path[1:]}
    if url.scheme in ("postgres", "postgresql") and url.path[1:]:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(url.path[1:]),
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "HOST": unquote(url.hostname or ""),
            "PORT": str(port or ""),
            "OPTIONS": dict(parse_qsl(url.query)),
        }
    raise ImproperlyConfigured(
        f"{name} must be sqlite:///file or postgres://user:password@host/name."
    )


class KeptSecrets:
    """Random secrets of a one-machine installation, made once and kept in a file of mode 600.

    Several processes may start at once: the file is written aside and linked into place, so
    whoever comes second reads what the first one made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str) -> str:
        return self._read_or_make()[name]

    def _read_or_make(self) -> dict[str, str]:
        try:
            if not self.path.exists():
                self._make()
            stored: dict[str, str] = json.loads(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise _unwritable("ALCHEMYST_DATA_DIR", self.path, error) from None
        except ValueError:
            raise ImproperlyConfigured(
                f"{self.path} is damaged. Put it back from a backup: without it people sign in "
                "again, and stored keys of providers are lost."
            ) from None
        return stored

    def _make(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = {name: secrets.token_urlsafe(64) for name in ("secret_key", "jwt_key", "vault_key")}
        aside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        aside.touch(mode=0o600)
        try:
            aside.write_text(json.dumps(fresh, indent=1) + "\n", encoding="utf-8")
            os.link(aside, self.path)
        except FileExistsError:
            return
        finally:
            aside.unlink()
