"""Events as server-sent events: each with its id, comments while nothing happens."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from chats.eventlog.event import LogEvent, Type

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # No cache keeps it, no proxy in front holds it back.
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
HEARTBEAT = b": still here\n\n"

_encode = msgspec.json.Encoder().encode


def format_event(events: Iterable[LogEvent]) -> bytes:
    """Return events as they go over the wire; of none, a comment as a heartbeat."""
    return b"".join(map(_event, events)) or HEARTBEAT


def format_unavailable(message: str) -> bytes:
    """Return what ends a stream whose events can no longer be had."""
    error = {"message": message, "type": "server_error", "code": "unavailable", "status": 503}
    return b"data: " + _encode({"content": None, "error": error}) + b"\n\ndata: [DONE]\n\n"


def _event(event: LogEvent) -> bytes:
    data = b"[DONE]" if event.type == Type.DONE else _encode(event.to_client())
    return b"id: %d\ndata: %b\n\n" % (event.sequence, data)
