"""Gemini's generateContent: a dialect, as `proxy.wire.dialect` describes one."""

from __future__ import annotations

from proxy.wire.gemini.answers import (
    CALL_MARKS,
    FINISH,
    STREAMS,
    USAGE,
    broken,
    closing,
    counts_in,
    error,
    is_closed,
    listed,
    parse_event,
    reported,
    step,
)
from proxy.wire.gemini.body import (
    SYSTEM_IS_A_MESSAGE,
    prompted,
    read,
    written,
)
from proxy.wire.gemini.routes import (
    FILTERED,
    NAME,
    OWN_HOST,
    SUPPORTED,
    claims,
    credential,
    key,
    route,
)
from proxy.wire.openai.answers import has_failed
