"""OpenAI's responses: a dialect, as `proxy.wire.dialect` describes one."""

from __future__ import annotations

from proxy.wire.responses.answers import (
    CALL_MARKS,
    FINISH,
    STREAMS,
    USAGE,
    broken,
    closing,
    counts_in,
    error,
    has_failed,
    is_closed,
    listed,
    parse_event,
    reported,
    step,
)
from proxy.wire.responses.body import STATE, SYSTEM_IS_A_MESSAGE, prompted, read, written
from proxy.wire.responses.routes import (
    NAME,
    OWN_HOST,
    RESPONSES,
    SUPPORTED,
    claims,
    credential,
    key,
    route,
)

__all__ = [
    "CALL_MARKS",
    "FINISH",
    "NAME",
    "OWN_HOST",
    "RESPONSES",
    "STATE",
    "STREAMS",
    "SUPPORTED",
    "SYSTEM_IS_A_MESSAGE",
    "USAGE",
    "broken",
    "claims",
    "closing",
    "counts_in",
    "credential",
    "error",
    "has_failed",
    "is_closed",
    "key",
    "listed",
    "parse_event",
    "prompted",
    "read",
    "reported",
    "route",
    "step",
    "written",
]
