"""Gemini's answers: what their events say, where they end, what they cost; and our own errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw, field

from proxy.common.errors import ApiError
from proxy.wire.dialect import Counts, Mark, Step, StreamEvent
from proxy.wire.model_lists import narrowed
from proxy.wire.reported_errors import read_error
from proxy.wire.usage_parser import counted, objects_after

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
STREAMS = frozenset({"streamGenerateContent"})
# Enumerations may come as numbers.
FINISH = Mark(b"finishReason", rb'(?:"[^"]|[1-9])')
USAGE = Mark(b"usageMetadata", rb"(?=\{)")
CALL_MARKS: tuple[bytes, ...] = (b'"functionCall"',)
_UNFINISHED = (None, "", 0, "FINISH_REASON_UNSPECIFIED")
# How an element of an array stream begins.
_ELEMENT = re.compile(
    rb'[\[,]\s*(\{\s*"(?:candidates|promptFeedback|usageMetadata|modelVersion|responseId|error)")'
)
_MOST_ELEMENTS = 8


class _Listed(msgspec.Struct):
    name: str


_listed_decoder = msgspec.json.Decoder(_Listed)


def listed(body: bytes, *, may_use: Callable[[str], bool]) -> bytes | None:
    """Return a list of models without those that may not be used; None where it is no list."""
    return narrowed(
        body,
        "models",
        lambda entry: may_use(_listed_decoder.decode(entry).name.removeprefix("models/")),
    )


def reported(texts: bytes) -> Counts:
    """Return the provider's own token counts from what may hold them of its answer.

    In a stream they are cumulative: the last ones count. Thoughts are billed as output.
    """
    usage: dict[str, Any] = {}
    for each in objects_after(USAGE, texts):
        usage |= each
    return counts_in(usage)


def counts_in(usage: dict[str, Any]) -> Counts:
    """Return what a provider's `usageMetadata` says."""
    candidates = counted(usage.get("candidatesTokenCount"))
    thoughts = counted(usage.get("thoughtsTokenCount"))
    return {
        "prompt_tokens": counted(usage.get("promptTokenCount")),
        "completion_tokens": (
            None if candidates is None and thoughts is None else (candidates or 0) + (thoughts or 0)
        ),
        "cached_tokens": counted(usage.get("cachedContentTokenCount")),
        "written_tokens": None,
        "reasoning_tokens": thoughts,
    }


class _FinishedCandidate(msgspec.Struct):
    index: int | None = 0
    finish: object = field(default=None, name="finishReason")


class _PromptFeedback(msgspec.Struct):
    block: object = field(default=None, name="blockReason")


class _FinishedChunk(msgspec.Struct):
    candidates: list[_FinishedCandidate] | None = None
    feedback: _PromptFeedback | None = field(default=None, name="promptFeedback")
    error: object = None


_finished_decoder = msgspec.json.Decoder(_FinishedChunk)


def step(data: bytes) -> Step:
    """Return what an event says of its stream's end: candidates finish, or none will come.

    Raises msgspec.DecodeError.
    """
    chunk = _finished_decoder.decode(data)
    candidates = chunk.candidates or ()
    return Step(
        tuple(each.index or 0 for each in candidates),
        tuple(each.index or 0 for each in candidates if each.finish not in _UNFINISHED),
        is_last=bool(chunk.feedback and chunk.feedback.block),
        is_error=bool(chunk.error),
    )


def is_closed(start: bytes, tail: bytes) -> bool | None:
    """Whether an array stream came to its end; None for what is no array."""
    if start.strip() and not start.lstrip().startswith(b"["):
        return None
    sent = tail.strip()
    if not sent.endswith(b"]"):
        return False
    starts = [match.start(1) for match in islice(_ELEMENT.finditer(sent), _MOST_ELEMENTS)]
    # Of an element larger than the tail no more is seen than the end.
    return not starts or any(_is_json(b"[" + sent[start:]) for start in starts)


class _Part(msgspec.Struct):
    text: str = ""
    thought: bool = False


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct):
    content: _Content = field(default_factory=_Content)
    finish: str = field(default="", name="finishReason")


class _Feedback(msgspec.Struct):
    block: str = field(default="", name="blockReason")


class _Generated(msgspec.Struct):
    candidates: list[_Candidate] = []
    usage: dict[str, Any] | None = field(default=None, name="usageMetadata")
    feedback: _Feedback | None = field(default=None, name="promptFeedback")
    error: object = None


_generated = msgspec.json.Decoder(_Generated)
# Gemini's reasons in OpenAI's words, which the chats speak.
_FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
}


def parse_event(data: bytes) -> StreamEvent:
    """Return what an event, or a whole answer, says; raises ReportedError and ValueError."""
    generation = _generated.decode(data)
    if generation.error:
        raise read_error(data)
    counts = counts_in(generation.usage) if generation.usage else None
    if not generation.candidates:
        blocked = "content_filter" if generation.feedback and generation.feedback.block else ""
        return StreamEvent(finish=blocked, counts=counts)
    first = generation.candidates[0]
    parts = first.content.parts
    return StreamEvent(
        "".join(part.text for part in parts if not part.thought),
        "".join(part.text for part in parts if part.thought),
        _FINISHES.get(first.finish, first.finish.lower()),
        counts,
    )


def error(fault: ApiError) -> bytes:
    """Return an error's body."""
    status = _STATUSES.get(fault.status, "INTERNAL" if fault.status >= 500 else "INVALID_ARGUMENT")
    fields = {"code": fault.status, "message": fault.message, "status": status}
    return msgspec.json.encode({"error": fields})


def broken(fault: ApiError, start: bytes, end: bytes) -> bytes:
    """Return the event that ends a stream which broke after it began.

    The blank line before it ends an event too large to be held back, so that this one is read on
    its own.
    """
    return b"\n\ndata: " + error(fault) + b"\n\n"


def closing(tail: bytes, fault: ApiError) -> bytes | None:
    """Return an error as the last element of an array stream, and its end.

    None where the stream broke within an element, or is no array: nothing makes that readable.
    """
    sent = tail.strip()
    if sent == b"[":
        return error(fault) + b"]"
    between = b"" if sent.endswith(b",") else b","
    return between + error(fault) + b"]" if _ends_an_element(sent.rstrip(b", \r\n")) else None


def _ends_an_element(sent: bytes) -> bool:
    if not sent.endswith(b"}"):
        return False
    starts = [match.start(1) for match in _ELEMENT.finditer(sent)]
    return any(_is_json(sent[start:]) for start in starts[: -_MOST_ELEMENTS - 1 : -1])


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
