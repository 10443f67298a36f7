"""Anthropic's answers: what their events say, and where they end; and our own errors."""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.common.errors import ApiError
from proxy.common.web.asgi import request_id
from proxy.wire.anthropic.routes import MESSAGES
from proxy.wire.anthropic.usage import Usage, counts_in, tells_all_input
from proxy.wire.dialect import NO_STEP, NOTHING, Counts, Mark, Step, StreamEvent
from proxy.wire.reported_errors import read_error

STREAMS: Final = frozenset({MESSAGES})
FINISH: Final = Mark(b"stop_reason", rb'"[^"]')
CALL_MARKS: Final[tuple[bytes, ...]] = (b'"tool_use"',)
_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Anthropic's reasons in OpenAI's words, which the chats speak.
_FINISHES: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Stop(msgspec.Struct):
    stop_reason: str | None = None


class _Ending(msgspec.Struct):
    type: str = ""
    delta: _Stop | None = None
    error: object = None


_ending_decoder = msgspec.json.Decoder(_Ending)
_GOES_ON: Final = Step((0,))
_FINISHED: Final = Step((0,), (0,))
_LAST: Final = Step(is_last=True)
_ERROR: Final = Step(is_error=True)


def step(data: bytes) -> Step:
    """Return what an event says of its stream's end: it stops for a reason, then all is said.

    Raises msgspec.DecodeError.
    """
    event = _ending_decoder.decode(data)
    if event.type == "message_stop":
        return _LAST
    if event.type == "error" or event.error:
        return _ERROR
    if event.type == "message_delta" and event.delta and event.delta.stop_reason:
        return _FINISHED
    return _GOES_ON if event.type.startswith(("message", "content_block")) else NO_STEP


class _Part(msgspec.Struct):
    """A block, or what is added to one."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    stop_reason: str | None = None


class _Message(msgspec.Struct):
    usage: Usage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    message: object = None
    content_block: _Part | None = None
    delta: _Part | None = None
    content: list[_Part] = []
    stop_reason: str | None = None
    usage: Usage | None = None
    error: object = None


_events = msgspec.json.Decoder(_Event)
_MESSAGE_OVER: Final = StreamEvent(is_last=True)


def parse_event(data: bytes) -> StreamEvent:
    """Return what an event, or a whole answer, says; raises ReportedError and ValueError."""
    event = _events.decode(data)
    if event.type == "error" or event.error:
        raise read_error(data)
    if event.type == "message_start":
        message = msgspec.convert(event.message, _Message)
        return StreamEvent(counts=counts_in(message.usage or {}))
    if event.type == "message_delta":
        return StreamEvent(finish=_finish(event.delta), counts=_counts_of_delta(event.usage or {}))
    if event.type == "message_stop":
        return _MESSAGE_OVER
    if event.type == "message":
        finish = _finish(_Part(stop_reason=event.stop_reason))
        return _said(event.content, finish)._replace(counts=counts_in(event.usage or {}))
    part = event.content_block or event.delta
    return _said([part]) if part else NOTHING


def _said(parts: list[_Part], finish: str = "") -> StreamEvent:
    return StreamEvent(
        "".join(part.text or "" for part in parts if part.type in ("text", "text_delta")),
        "".join(part.thinking or "" for part in parts),
        finish,
    )


def _finish(delta: _Part | None) -> str:
    reason = (delta and delta.stop_reason) or ""
    return _FINISHES.get(reason, reason)


def _counts_of_delta(usage: Usage) -> Counts:
    counts = counts_in(usage)
    if not tells_all_input(usage):
        # What began the stream told the whole input.
        counts["prompt_tokens"] = None
    return counts


def error(fault: ApiError) -> bytes:
    """Return an error's body."""
    kind = _TYPES.get(fault.status, "api_error" if fault.status >= 500 else "invalid_request_error")
    fields = {"type": kind, "message": fault.message, "code": fault.code}
    if fault.param:
        fields["param"] = fault.param
    body = {"type": "error", "error": fields, "request_id": request_id.get()}
    return msgspec.json.encode(body)


def broken(fault: ApiError, start: bytes, end: bytes) -> bytes:
    """Return the event that ends a stream which broke after it began.

    The blank line before it ends an event too large to be held back, so that this one is read on
    its own.
    """
    return b"\n\nevent: error\ndata: " + error(fault) + b"\n\n"
