"""Anthropic's Messages: a dialect, as `proxy.wire.dialect` describes one."""

from __future__ import annotations

from proxy.wire.anthropic.answers import (
    CALL_MARKS,
    FINISH,
    STREAMS,
    USAGE,
    broken,
    closing,
    error,
    has_failed,
    is_closed,
    listed,
    parse_event,
    reported,
    step,
)
from proxy.wire.anthropic.body import (
    SYSTEM_IS_A_MESSAGE,
    prompted,
    read,
    written,
)
from proxy.wire.anthropic.routes import (
    MESSAGES,
    NAME,
    OWN_HOST,
    SUPPORTED,
    claims,
    credential,
    key,
    route,
)
from proxy.wire.anthropic.usage import counts_in

__all__ = [
    "CALL_MARKS",
    "FINISH",
    "MESSAGES",
    "NAME",
    "OWN_HOST",
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
