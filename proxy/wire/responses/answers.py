"""Responses: what their events say, where they end, what they cost; and our own errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from proxy.common.errors import ApiError
from proxy.relevance.merge_turns import BETWEEN
from proxy.wire.dialect import NO_STEP, NOTHING, Counts, Mark, Step, StreamEvent
from proxy.wire.openai.answers import DONE
from proxy.wire.reported_errors import error_in, read_error
from proxy.wire.responses.routes import RESPONSES
from proxy.wire.usage_parser import counted, last_counts

# A response that was begun before is streamed like a new one.
STREAMS = frozenset({RESPONSES, f"{RESPONSES}/{{id}}"})
FINISH = Mark(b"type", rb'"response\.(?:completed|incomplete|failed)"')
USAGE = Mark(b"usage", rb"(?=\{)")
CALL_MARKS: tuple[bytes, ...] = (
    b'"function_call"',
    b'"custom_tool_call"',
    b'"local_shell_call"',
    b'"shell_call"',
    b'"apply_patch_call"',
    b'"computer_call"',
    b'"mcp_approval_request"',
)
_LAST: Final = Step(finished=(0,), is_last=True)
_FAILED: Final = Step(finished=(0,), is_last=True, is_error=True)
_ENDS: Final = {
    "response.completed": _LAST,
    "response.incomplete": _LAST,
    "response.failed": _FAILED,
    "error": Step(is_error=True),
}
# The beginning of a response that failed, in an event or by itself: before what it put out, whose
# items have a status of their own.
_FAILURE = re.compile(
    rb'\A(?:(?!"output"\s*:).)*?"(?:type"\s*:\s*"response\.failed"|status"\s*:\s*"failed")',
    re.DOTALL,
)
_CREATED: Final = re.compile(rb'"response"\s*:\s*\{[^{}]*?"id"\s*:\s*("(?:[^"\\]|\\.)*")')
_NUMBER: Final = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')


def reported(texts: bytes) -> Counts:
    """Return the provider's own token counts from what may hold them of its answer.

    In a stream only its last event has them.
    """
    return last_counts(USAGE, texts, counts_in)


def counts_in(usage: dict[str, object]) -> Counts:
    """Return what a provider's `usage` says; input has what was cached, output the reasoning."""
    inputs, outputs = (_object_in(usage, f"{side}_tokens_details") for side in ("input", "output"))
    return {
        "prompt_tokens": counted(usage.get("input_tokens")),
        "completion_tokens": counted(usage.get("output_tokens")),
        "cached_tokens": counted(inputs.get("cached_tokens")),
        "written_tokens": counted(inputs.get("cache_write_tokens")),
        "reasoning_tokens": counted(outputs.get("reasoning_tokens")),
    }


def _object_in(fields: dict[str, object], name: str) -> dict[str, object]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


class _Typed(msgspec.Struct):
    type: str = ""
    error: object = None


_typed_decoder = msgspec.json.Decoder(_Typed)


def step(data: bytes) -> Step:
    """Return what an event says of its stream's end; raises msgspec.DecodeError."""
    event = _typed_decoder.decode(data)
    known = _ENDS.get(event.type, NO_STEP)
    # Servers that are not OpenAI's write errors as whole answers have them.
    return Step(is_error=True) if known is NO_STEP and event.error else known


def has_failed(start: bytes) -> bool:
    """Whether a response that begins so, in an event or as a whole, says that it failed."""
    # Most have no such word, and bytes are searched for faster than patterns.
    return b'failed"' in start and _FAILURE.match(start) is not None


class _Incomplete(msgspec.Struct):
    reason: str = ""


class _Response(msgspec.Struct):
    status: str | None = None
    output: msgspec.Raw = msgspec.Raw()
    usage: dict[str, object] | None = None
    error: object = None
    incomplete_details: _Incomplete | None = None


class _Event(_Response):
    type: str = ""
    delta: object = None
    summary_index: int | None = None
    response: _Response | None = None
    kind: str = msgspec.field(default="", name="object")


_events = msgspec.json.Decoder(_Event)
_TEXTS = ("response.output_text.delta", "response.refusal.delta")
_REASONING = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
# Why a response is incomplete, in chat completions' words, which the chats speak.
_FINISHES = {"max_output_tokens": "length"}


def parse_event(data: bytes) -> StreamEvent:
    """Return what an event, or a whole answer, says.

    Raises ReportedError for an error, and ValueError for what is no such event.
    """
    if data == DONE:
        # Gateways that know chat completions better add it.
        return NOTHING
    event = _events.decode(data)
    if isinstance(event.delta, str):
        if event.type in _TEXTS:
            return StreamEvent(text=event.delta)
        return StreamEvent(reasoning=event.delta) if event.type in _REASONING else NOTHING
    if event.type == "response.reasoning_summary_part.added":
        return StreamEvent(reasoning=BETWEEN) if event.summary_index else NOTHING
    if event.type == "error":
        raise read_error(data)
    if event.response:
        return _ended(event.response) if event.type in _ENDS else NOTHING
    if event.error:
        raise error_in(event.error)
    if event.kind != "response":
        return NOTHING
    output = msgspec.json.decode(event.output) if bytes(event.output) else []
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    return _ended(event)._replace(
        text="".join(_texts_of(items, "message", "content")),
        reasoning=BETWEEN.join(
            (*_texts_of(items, "reasoning", "summary"), *_texts_of(items, "reasoning", "content"))
        ),
    )


def _ended(response: _Response) -> StreamEvent:
    """Return how a response ended, without its text, which a stream has told before."""
    if response.status == "failed" or response.error:
        raise error_in(response.error)
    finish = "stop" if response.status == "completed" else ""
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else ""
        finish = _FINISHES.get(reason, reason) or "length"
    counts = counts_in(response.usage) if response.usage else None
    return StreamEvent(finish=finish, counts=counts, is_last=bool(finish))


def _texts_of(items: Iterable[dict[str, object]], kind: str, field: str) -> Iterator[str]:
    """Yield the texts of a field of these items, whatever else stands in a response by now."""
    for item in items:
        parts = item.get(field) if item.get("type") == kind else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and (text := part.get("text") or part.get("refusal")):
                yield str(text)


def broken(fault: ApiError, start: bytes, end: bytes) -> bytes | None:
    """Return the event that ends a stream which broke after it began: its response failed.

    The blank line before it ends an event too large to be held back. None where the client knows
    of no response yet: only a cut tells it.
    """
    created = _CREATED.search(start)
    if not created:
        return None
    numbers = [int(number) for number in _NUMBER.findall(start) + _NUMBER.findall(end)]
    event = {
        "type": "response.failed",
        "sequence_number": max(numbers, default=-1) + 1,
        "response": {
            "id": msgspec.Raw(created[1]),
            "object": "response",
            "created_at": 0,
            "status": "failed",
            "error": {"code": fault.code, "message": fault.message},
            "incomplete_details": None,
            "model": "",
            "output": [],
            "usage": None,
        },
    }
    return b"\n\nevent: response.failed\ndata: " + msgspec.json.encode(event) + b"\n\n"
