"""OpenAI's chat completions: a dialect, as `proxy.wire.dialect` describes one."""

from __future__ import annotations

from proxy.wire.openai.answers import (
    CALL_MARKS,
    DONE,
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
from proxy.wire.openai.body import (
    SYSTEM_IS_A_MESSAGE,
    has_media,
    prompted,
    read,
    with_model,
    written,
)
from proxy.wire.openai.routes import (
    COMPLETIONS,
    NAME,
    OWN_HOST,
    SUPPORTED,
    claims,
    credential,
    key,
    route,
)
