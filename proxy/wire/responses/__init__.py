"""OpenAI's responses: a dialect, as `proxy.wire.dialect` describes one."""

from __future__ import annotations

from proxy.wire.openai.answers import closing, error, is_closed, listed
from proxy.wire.openai.routes import OWN_HOST, credential, key
from proxy.wire.responses.answers import (
    CALL_MARKS,
    FINISH,
    STREAMS,
    USAGE,
    broken,
    counts_in,
    has_failed,
    parse_event,
    reported,
    step,
)
from proxy.wire.responses.body import STATE, SYSTEM_IS_A_MESSAGE, prompted, read, written
from proxy.wire.responses.routes import NAME, RESPONSES, SUPPORTED, claims, route
