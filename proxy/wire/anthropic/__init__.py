"""Anthropic's Messages: a dialect, as `proxy.wire.dialect` describes one."""

from __future__ import annotations

from proxy.wire.anthropic.answers import (
    CALL_MARKS,
    FINISH,
    STREAMS,
    broken,
    error,
    parse_event,
    step,
)
from proxy.wire.anthropic.body import SYSTEM_IS_A_MESSAGE, prompted, read, written
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
from proxy.wire.anthropic.usage import USAGE, counts_in, reported
from proxy.wire.openai.answers import closing, has_failed, is_closed, listed
