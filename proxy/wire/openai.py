"""OpenAI's chat completions: read a request, write the kept messages back, its errors.

A request is taken apart without decoding its messages: each stays the bytes that came, so that
what is kept is sent on byte for byte, numbers and unknown fields included, and a message that was
seen in the previous turn is found again by its digest alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from proxy.common.errors import ApiError
from proxy.common.web.asgi import Scope
from proxy.relevance.merge_turns import BETWEEN
from proxy.relevance.messages import Message
from proxy.wire import openai_messages
from proxy.wire.dialect import Counts, Mark, Request, Route, Step
from proxy.wire.model_lists import narrowed
from proxy.wire.usage_parser import counted, objects_after
from proxy.wire.validation import check_names, check_number, decoded

COMPLETIONS: Final = "chat/completions"
NAME = "openai"
OWN_HOST = "api.openai.com"
SUPPORTED = (
    "Use POST /api/v1/proxy/{target}/chat/completions or GET /api/v1/proxy/{target}/models, "
    "where the target is https://api.openai.com/v1, or default."
)

# endpoint: (method, whether its body holds a conversation)
ENDPOINTS = {COMPLETIONS: ("POST", True), "models": ("GET", False)}

# Names of these counts at OpenAI, DeepSeek and gateways to Claude.
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")

# Legacy completions are streamed alike.
STREAMS = frozenset({COMPLETIONS, "completions"})
FINISH = Mark(b"finish_reason", rb'"[^"]')
USAGE = Mark(b"usage", rb"(?=\{)")
DONE: Final = b"[DONE]"
_LAST: Final = Step(is_last=True)


class _Completion(msgspec.Struct):
    """What is checked of a request; every other field passes untouched.

    Values are for the provider to judge: others than OpenAI take -1 for no limit, and bounds of
    their own.
    """

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Raw], Meta(min_length=1)]
    stream: bool | None = None
    max_tokens: int | float | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: Raw = Raw()
    tools: Raw = Raw()
    functions: Raw = Raw()


_decoder = msgspec.json.Decoder(_Completion)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` speak this dialect for certain; lists of models others have."""
    return path.endswith("/chat/completions")


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for; the query is ours alone."""
    for endpoint, (method, is_filtered) in ENDPOINTS.items():
        if path.endswith(f"/{endpoint}"):
            target = path[: -len(endpoint) - 1]
            return Route(target, f"/{endpoint}", endpoint, method, is_filtered)
    return None


def key(scope: Scope) -> str | None:
    """Return None: the provider's key is the last segment of the path."""
    return None


def credential(key: str) -> tuple[str, str]:
    """Return the header by which the provider is shown its key."""
    return "Authorization", f"Bearer {key}"


def read(body: bytes, route: Route, *, most_messages: int) -> Request:
    """Check a body and read its messages.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    fields = decoded(_decoder.decode, body, messages="messages")
    check_names(body)
    check_number(fields.messages, most_messages, field="messages")
    raw = [bytes(message) for message in fields.messages]
    messages = [openai_messages.read(each, place) for place, each in enumerate(raw)]
    if b"json_object" in bytes(fields.response_format):
        _protect_last_naming_json(messages)
    front = b"".join(map(bytes, (fields.tools, fields.functions, fields.response_format)))
    has_tools = bool(bytes(fields.tools) or bytes(fields.functions))
    return Request(body, fields.model, raw, messages, front, has_tools)


def written(request: Request, runs: list[list[int]]) -> bytes:
    """Return the request's body with only the messages in `runs`, each run joined to one.

    All other fields keep their bytes and their order.
    """
    fields = _fields_decoder.decode(request.body)
    kept = b",".join(_joined(request, run) for run in runs)
    fields["messages"] = Raw(b"[" + kept + b"]")
    return msgspec.json.encode(fields)


def with_model(body: bytes, model: str) -> bytes:
    """Return the body with another model's name."""
    fields = _fields_decoder.decode(body)
    fields["model"] = Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


def has_media(request: Request) -> bool:
    """Whether any message has a part that is no text: an image, audio, a file."""
    return any(
        openai_messages.has_media(msgspec.json.decode(raw))
        for raw, message in zip(request.raw_messages, request.messages, strict=True)
        if not message.is_plain
    )


class _Listed(msgspec.Struct):
    id: str


_listed_decoder = msgspec.json.Decoder(_Listed)


def listed(body: bytes, *, may_use: Callable[[str], bool]) -> bytes | None:
    """Return a list of models without those that may not be used; None where it is no list."""
    return narrowed(body, "data", lambda entry: may_use(_listed_decoder.decode(entry).id))


def reported(texts: bytes) -> Counts:
    """Return the provider's own token counts from what may hold them of its answer.

    The last `usage` that counts anything holds: in a stream, earlier ones are null or partial.
    """
    counts = counts_in({})
    for usage in objects_after(USAGE, texts):
        new = counts_in(usage)
        counts = new if any(count is not None for count in new.values()) else counts
    return counts


def counts_in(usage: dict[str, Any]) -> Counts:
    """Return what a provider's `usage` says."""
    value = usage.get("prompt_tokens_details")
    details = value if isinstance(value, dict) else {}
    return {
        "prompt_tokens": counted(usage.get("prompt_tokens")),
        "completion_tokens": counted(usage.get("completion_tokens")),
        "cached_tokens": _first_count(usage, details, _CACHED),
        "written_tokens": _first_count(usage, details, _WRITTEN),
    }


def _first_count(
    usage: dict[str, Any], details: dict[str, Any], names: tuple[str, ...]
) -> int | None:
    """Return the first count of these names, in the usage's details or in itself."""
    counts = (counted(fields.get(name)) for name in names for fields in (details, usage))
    return next((count for count in counts if count is not None), None)


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


def error(fault: ApiError) -> bytes:
    """Return an error's body."""
    return msgspec.json.encode(_error(fault))


def broken(fault: ApiError) -> bytes:
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


def _protect_last_naming_json(messages: list[Message]) -> None:
    """Keep a message with the word: without one, OpenAI refuses the format `json_object`."""
    for place in reversed(range(len(messages))):
        if "json" in messages[place].text.lower():
            messages[place] = replace(messages[place], is_protected=True)
            return


def _joined(request: Request, run: list[int]) -> bytes:
    """Return one message for a run: itself byte for byte, or the join of several plain ones."""
    if len(run) == 1:
        return request.raw_messages[run[0]]
    messages = [msgspec.json.decode(request.raw_messages[index]) for index in run]
    content = BETWEEN.join(message["content"] for message in messages)
    return msgspec.json.encode({"role": messages[0]["role"], "content": content})
