"""What the events of a streamed answer say, in OpenAI's dialect and in Gemini's.

Providers add fields of their own, and some leave out what others always send, so no more is
decoded than is read, and what does not fit is a piece that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from proxy.errors import ApiError, UpstreamBroken
from proxy.wire import gemini, openai
from proxy.wire.dialect import Counts
from proxy.wire.sse import EventReader


class StreamEvent(NamedTuple):
    """One event of an answer: a bit of text, of reasoning, the finish, the provider's counts."""

    text: str = ""
    reasoning: str = ""
    finish: str = ""
    counts: Counts | None = None


NOTHING: Final = StreamEvent()
DONE: Final = openai.DONE


class ReportedError(UpstreamBroken):
    """What a provider says itself, in an event, of the fault that ends its answer."""

    def __init__(self, words: str, code: str, reported_status: int) -> None:
        super().__init__()
        self.words = words
        self.reported_code = code
        self.reported_status = reported_status
        """The status that a refusal for this reason would have had."""


# Parts of the names by which providers call a refusal that has no number.
_NAMED_STATUSES = {
    429: ("rate_limit", "too_many", "resource_exhausted", "quota"),
    503: ("overloaded", "unavailable", "capacity"),
    401: ("authentication", "invalid_api_key"),
    400: ("invalid_request", "moderation", "content_policy"),
}


def read_error(text: bytes) -> ReportedError:
    """Return what an error says, as OpenAI, Gemini, Ollama, vLLM and gateways write one."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ReportedError(text.decode(errors="replace"), "", HTTPStatus.BAD_GATEWAY)
    if isinstance(value, list) and value:
        value = value[0]
    return _error_in(value.get("error") or value if isinstance(value, dict) else value)


def _error_in(error: object) -> ReportedError:
    if isinstance(error, str):
        return ReportedError(error, "", _status_of([error]))
    if not isinstance(error, dict):
        return ReportedError("", "", HTTPStatus.BAD_GATEWAY)
    words = error.get("message")
    codes = [str(error[name]) for name in ("code", "status", "type") if error.get(name)]
    # What calls itself no more than an error names no reason.
    code = next((code for code in codes if code != "error"), "")
    return ReportedError(words if isinstance(words, str) else "", code, _status_of(codes))


def _status_of(codes: Iterable[str]) -> int:
    """Return the status that these codes stand for, by a number or by a name."""
    for code in codes:
        if code.isdecimal() and 400 <= int(code[:4]) < 600:
            return int(code)
        for status, names in _NAMED_STATUSES.items():
            if any(name in code.lower().replace(" ", "_") for name in names):
                return status
    return HTTPStatus.BAD_GATEWAY


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    error: object = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: object = None
    kind: object = msgspec.field(default=None, name="object")


class _Part(msgspec.Struct):
    text: str = ""
    thought: bool = False


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct):
    content: _Content = msgspec.field(default_factory=_Content)
    finish: str = msgspec.field(default="", name="finishReason")


class _Feedback(msgspec.Struct):
    block: str = msgspec.field(default="", name="blockReason")


class _Generated(msgspec.Struct):
    candidates: list[_Candidate] = []
    usage: dict[str, Any] | None = msgspec.field(default=None, name="usageMetadata")
    feedback: _Feedback | None = msgspec.field(default=None, name="promptFeedback")
    error: object = None


_chunks = msgspec.json.Decoder(_Chunk)
_generated = msgspec.json.Decoder(_Generated)


def parse_openai_event(data: bytes) -> StreamEvent:
    """Return what an event, or a whole answer, of OpenAI's dialect says.

    Raises ReportedError for an error, and ValueError for what is no such event.
    """
    chunk = _chunks.decode(data)
    if chunk.error or chunk.kind == "error":
        raise read_error(data)
    counts = openai.counts_in(chunk.usage) if chunk.usage else None
    if not chunk.choices:
        return StreamEvent(counts=counts) if counts else NOTHING
    choice = chunk.choices[0]
    if choice.error:
        raise _error_in(choice.error)
    message = choice.delta or choice.message or _Delta()
    return StreamEvent(
        _text(message.content) or _text(message.refusal),
        _text(message.reasoning_content) or _text(message.reasoning),
        choice.finish_reason or "",
        counts,
    )


def parse_gemini_event(data: bytes) -> StreamEvent:
    """Return what an event of Gemini's says; raises as `parse_openai_event` does."""
    generation = _generated.decode(data)
    if generation.error:
        raise read_error(data)
    counts = gemini.counts_in(generation.usage) if generation.usage else None
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


# Gemini's reasons in OpenAI's words, which the chats speak.
_FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
}


def _text(content: Any) -> str:
    """Return the text of a content that is a string, or an array with parts of text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def answer_text(dialect: str, answer: bytes, *, is_whole: bool = True) -> str:
    """Return the text of an answer as it came from a provider of that dialect, or of its beginning.

    It is empty if the answer calls tools, or can't be read.
    """
    read = parse_gemini_event if dialect == gemini.NAME else parse_openai_event
    texts = []
    try:
        for data in _events(answer, is_whole):
            if b'"functionCall"' in data or b'"tool_calls"' in data:
                return ""
            if data != DONE:
                texts.append(read(data).text)
    except (ApiError, ValueError, RecursionError):
        return ""
    return "".join(texts)


def _events(answer: bytes, is_whole: bool) -> list[bytes]:
    """Return what came in events, in a list, or as a whole."""
    start = answer.lstrip()[:1]
    if start == b"[":
        return list(map(bytes, msgspec.json.decode(answer, type=list[msgspec.Raw])))
    if start == b"{":
        return [answer]
    reader = EventReader()
    return [*reader.read(answer), *(reader.end() if is_whole else ())]
