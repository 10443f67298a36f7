"""A conversation out of a file, before it is a chat; and how to read what may be anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Milliseconds since 1970 are greater than any plausible number of seconds.
_MILLISECONDS_FROM = 1e11


class Unreadable(Exception):
    """This can't be imported; the text says why, to the person who sent it."""


@dataclass(slots=True)
class ImportedMessage:
    """One message, known in its conversation by a key."""

    key: str
    parent: str | None
    role: str
    """user, assistant or system; "" for what is no message, but may have answers."""

    content: str
    created: datetime | None = None
    persona: str = ""
    model: str = ""
    fate: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Conversation:
    """A tree of messages, in the order in which they stood in the file."""

    origin: str
    """What it is known by among its owner's, so that it comes once."""

    title: str
    messages: list[ImportedMessage]
    shown_key: str | None = None
    """The key of the last message of what is shown; else the newest."""

    created: datetime | None = None
    updated: datetime | None = None
    pinned: bool = False
    archived: bool = False
    persona: str = ""
    own_id: str = ""
    """The id that the chat had, where the file was written by us."""

    fields: dict[str, str] = field(default_factory=dict)
    """Other fields of a chat."""

    notes: list[str] = field(default_factory=list)
    """What was left out of it."""


def text(value: Any) -> str:
    """Return a value as a text that any database takes; "" for what is none."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "ignore").decode()


def key(value: Any) -> str | None:
    """Return an id, which may be a number; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)[:200] or None


def time(value: Any) -> datetime | None:
    """Return a time, written in seconds or milliseconds since 1970 or as ISO 8601; else None."""
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            seconds = value / 1000 if value > _MILLISECONDS_FROM else value
            return _plausible(datetime.fromtimestamp(seconds, UTC))
        parsed = parse_datetime(value) if isinstance(value, str) else None
        if parsed is None:
            return None
        return _plausible(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _plausible(moment: datetime) -> datetime | None:
    return moment if EARLIEST <= moment <= timezone.now() else None


def as_dict(value: Any) -> dict[str, Any]:
    """Return a value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
