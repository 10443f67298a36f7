"""OpenAI's answers: what their events say, where they end, what they cost; and our own errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from proxy.common.errors import ApiError
from proxy.wire.dialect import NOTHING, Counts, Mark, Step, StreamEvent
from proxy.wire.model_lists import narrowed
from proxy.wire.openai.routes import COMPLETIONS
from proxy.wire.reported_errors import error_in, read_error
from proxy.wire.usage_parser import counted, last_counts

_Fields = Mapping[str, object]
# Names of these counts at OpenAI, DeepSeek and gateways to Claude.
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
# Where gateways to Claude tell for how long it was written.
_LIFETIMES = ("cache_creation", "cache_creation_token_details")
_WRITTEN_FOR_LONG = ("ephemeral_1h_input_tokens",)
_REASONING = ("reasoning_tokens",)
# Legacy completions are streamed alike.
STREAMS = frozenset({COMPLETIONS, "completions"})
FINISH = Mark(b"finish_reason", rb'"[^"]')
USAGE = Mark(b"usage", rb"(?=\{)")
DONE: Final = b"[DONE]"
CALL_MARKS: tuple[bytes, ...] = (b'"tool_calls"',)
_LAST: Final = Step(is_last=True)
_OVER: Final = StreamEvent(is_last=True)


class _Listed(msgspec.Struct):
    id: str


_listed_decoder = msgspec.json.Decoder(_Listed)


def listed(body: bytes, *, may_use: Callable[[str], bool]) -> bytes | None:
    """Return a list of models without those that may not be used; None where it is no list."""
    return narrowed(body, "data", lambda entry: may_use(_listed_decoder.decode(entry).id))


def reported(texts: bytes) -> Counts:
    """Return the provider's own token counts from what may hold them of its answer."""
    return last_counts(USAGE, texts, counts_in)


def counts_in(usage: dict[str, Any]) -> Counts:
    """Return what a provider's `usage` says."""
    prompt = counted(usage.get("prompt_tokens"))
    completion = counted(usage.get("completion_tokens"))
    details = _details(usage, "prompt_tokens_details")
    written = _first_count(_WRITTEN, details, usage)
    reasoning = _first_count(_REASONING, _details(usage, "completion_tokens_details"), usage)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": _with_reasoning(usage, prompt, completion, reasoning),
        "cached_tokens": _first_count(_CACHED, details, usage),
        "written_tokens": written,
        "written_for_long_tokens": _written_for_long(details, usage) if written else None,
        "reasoning_tokens": reasoning,
    }


def _details(fields: _Fields, name: str) -> _Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _first_count(names: tuple[str, ...], *places: _Fields) -> int | None:
    """Return the first count of these names, in the first of the places that has one."""
    # Plain loops: it is asked several times for each call, and most names are not there.
    for name in names:
        for fields in places:
            if name in fields and (count := counted(fields[name])) is not None:
                return count
    return None


def _written_for_long(*places: _Fields) -> int | None:
    lifetimes = [_details(fields, name) for name in _LIFETIMES for fields in places]
    return _first_count(_WRITTEN_FOR_LONG, *lifetimes)


def _with_reasoning(
    usage: _Fields, prompt: int | None, completion: int | None, reasoning: int | None
) -> int | None:
    """Return the completion's tokens with those of reasoning, which xAI and Gemini count beside it.

    That they do is told by the total alone.
    """
    total = counted(usage.get("total_tokens"))
    if not reasoning or prompt is None or completion is None or total is None:
        return completion
    return completion + reasoning if total == prompt + completion + reasoning else completion


class _FinishedChoice(msgspec.Struct):
    index: int | None = 0
    finish_reason: str | None = None


class _FinishedChunk(msgspec.Struct):
    choices: list[_FinishedChoice] | None = None
    error: object = None
    kind: object = msgspec.field(default=None, name="object")


_finished_decoder = msgspec.json.Decoder(_FinishedChunk)


def step(data: bytes) -> Step:
    """Return what an event says of its stream's end: choices finish, or `[DONE]` follows all.

    Raises msgspec.DecodeError.
    """
    if data == DONE:
        return _LAST
    chunk = _finished_decoder.decode(data)
    choices = chunk.choices or ()
    return Step(
        tuple(choice.index or 0 for choice in choices),
        tuple(choice.index or 0 for choice in choices if choice.finish_reason),
        is_error=bool(chunk.error) or chunk.kind == "error",
    )


def is_closed(start: bytes, tail: bytes) -> bool | None:
    """Return None: of an answer in one piece only HTTP tells where it ends."""
    return None


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


_chunks = msgspec.json.Decoder(_Chunk)


def parse_event(data: bytes) -> StreamEvent:
    """Return what an event, or a whole answer, says.

    Raises ReportedError for an error, and ValueError for what is no such event.
    """
    if data == DONE:
        return _OVER
    chunk = _chunks.decode(data)
    if chunk.error or chunk.kind == "error":
        raise read_error(data)
    counts = counts_in(chunk.usage) if chunk.usage else None
    if not chunk.choices:
        return StreamEvent(counts=counts) if counts else NOTHING
    choice = chunk.choices[0]
    if choice.error:
        raise error_in(choice.error)
    message = choice.delta or choice.message or _Delta()
    return StreamEvent(
        _text(message.content) or _text(message.refusal),
        _text(message.reasoning_content) or _text(message.reasoning),
        choice.finish_reason or "",
        counts,
    )


def _text(content: Any) -> str:
    """Return the text of a content that is a string, or an array with parts of text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def has_failed(start: bytes) -> bool:
    """Return False: whatever fails is answered with a status, or in an event."""
    return False


def error(fault: ApiError) -> bytes:
    """Return an error's body."""
    return msgspec.json.encode(_error(fault))


def broken(fault: ApiError, start: bytes, end: bytes) -> bytes:
    """Return the event that ends a stream which broke after it began.

    The blank line before it ends an event too large to be held back, so that this one is read on
    its own.
    """
    return b"\n\ndata: " + msgspec.json.encode(_error(fault)) + b"\n\n"


def closing(tail: bytes, fault: ApiError) -> bytes | None:
    """Return None: an answer that broke off is cut, which no client takes for success."""
    return None


def _error(fault: ApiError) -> dict[str, Any]:
    return {
        "error": {
            "message": fault.message,
            "type": fault.type,
            "code": fault.code,
            "param": fault.param,
        }
    }
