"""Gemini's generateContent: read a request, write the kept contents back, its errors.

A request is taken apart without decoding its contents: each stays the bytes that came, so that
what is kept is sent on byte for byte, signatures and unknown fields included.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any
from urllib.parse import unquote, unquote_plus

import msgspec
from msgspec import Meta, Raw, field

from proxy.common.errors import ApiError, InvalidRequest
from proxy.common.web.asgi import Scope, header
from proxy.wire.dialect import Counts, Mark, Request, Route, Step
from proxy.wire.gemini_contents import broken_rules, content_of, tied
from proxy.wire.model_lists import narrowed
from proxy.wire.usage_parser import counted, objects_after
from proxy.wire.validation import check_names, check_number, decoded

NAME = "gemini"
OWN_HOST = "generativelanguage.googleapis.com"
SUPPORTED = (
    "Use POST /api/v1/proxy/{target}/v1beta/models/{model}:{task} with a task such as "
    "generateContent, streamGenerateContent, countTokens or batchEmbedContents, or GET "
    "/api/v1/proxy/{target}/v1beta/models, where the target is "
    "https://generativelanguage.googleapis.com."
)

FILTERED = ("generateContent", "streamGenerateContent")
_KEY_HEADER = b"x-goog-api-key"

# Where the provider's own path begins.
_RESOURCE = re.compile(r"/(v1|v1alpha|v1beta)/(?=(?:models|tunedModels|projects)(?:/|:|%3A|$))")
_TASK = re.compile(r"(?::|%3A)([a-z]{1,40})$", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9._~%@!$&'()*+,;=/:-]+")
# Google's other resources, which are not served; its OpenAI-compatible endpoints are OpenAI's.
_ELSEWHERE = re.compile(r"/(?:v1alpha|v1beta)/(?!openai/)")

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
_UNFINISHED = (None, "", 0, "FINISH_REASON_UNSPECIFIED")
# How an element of an array stream begins.
_ELEMENT = re.compile(
    rb'[\[,]\s*(\{\s*"(?:candidates|promptFeedback|usageMetadata|modelVersion|responseId|error)")'
)
_MOST_ELEMENTS = 8

_Object = dict[str, Raw] | None


class _Generation(msgspec.Struct):
    """What is checked of a request, in both spellings; every other field passes untouched."""

    contents: Annotated[list[Raw], Meta(min_length=1)]
    tools: Raw = Raw()
    generation_config: _Object = None
    generation_config_camel: _Object = field(default=None, name="generationConfig")
    safety_settings: list[Raw] | None = None
    safety_settings_camel: list[Raw] | None = field(default=None, name="safetySettings")
    system_instruction: dict[str, Raw] | str | None = None
    system_instruction_camel: dict[str, Raw] | str | None = field(
        default=None, name="systemInstruction"
    )
    cached_content: Any = None
    cached_content_camel: Any = field(default=None, name="cachedContent")


class _PlainContent(msgspec.Struct):
    parts: list[Raw]


_decoder = msgspec.json.Decoder(_Generation)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_plain_decoder = msgspec.json.Decoder(_PlainContent)


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` speak Gemini's dialect.

    `/v1/models` is OpenAI's as well: there the way in which the key is shown decides.
    """
    match = _RESOURCE.search(path)
    if not match:
        return _ELSEWHERE.search(path) is not None
    return match[1] != "v1" or _TASK.search(path) is not None or _shows_key(scope)


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for: a task of a model, or what is known of one or of all."""
    match = _RESOURCE.search(path)
    if not match:
        return None
    resource = path[match.end() :]
    task = _TASK.search(resource)
    model = resource[: task.start()] if task else resource
    if not _NAME.fullmatch(resource) or {".", ".."} & set(unquote(model).split("/")):
        return None
    query = _query(scope)
    endpoint = f"/{match[1]}/{model}{f':{task[1]}' if task else ''}{f'?{query}' if query else ''}"
    name = unquote(model).removeprefix("models").removeprefix("/")
    # Some clients append the version to a base URL that has it.
    target = path[: match.start()].removesuffix(f"/{match[1]}")
    if task:
        return Route(target, endpoint, task[1], "POST", task[1] in FILTERED, name)
    return Route(target, endpoint, "models", "GET", model=name)


def _query(scope: Scope) -> str:
    """Return the query as it came, without the provider's key."""
    query: str = scope.get("query_string", b"").decode("latin-1")
    if not query:
        return ""
    if not query.isascii() or not query.isprintable():
        raise InvalidRequest("The query has characters that no URL may hold.")
    return "&".join(pair for pair in query.split("&") if not _is_key(pair))


def _is_key(pair: str) -> bool:
    return unquote_plus(pair.partition("=")[0]) == "key"


def _key_in_query(scope: Scope) -> str | None:
    query: str = scope.get("query_string", b"").decode("latin-1")
    pairs = (pair for pair in query.split("&") if _is_key(pair))
    return next((unquote_plus(pair.partition("=")[2]) for pair in pairs), None)


def _shows_key(scope: Scope) -> bool:
    has_header = any(name == _KEY_HEADER for name, _ in scope.get("headers", ()))
    return has_header or _key_in_query(scope) is not None


def key(scope: Scope) -> str:
    """Return the provider's key from its header or the query; raises InvalidRequest without one."""
    key = header(scope, _KEY_HEADER) or _key_in_query(scope)
    if not key:
        raise InvalidRequest(
            "The provider's key is missing. Send it in the header x-goog-api-key, or as ?key=."
        )
    return key


def credential(key: str) -> tuple[str, str]:
    """Return the header by which Gemini is shown its key: never the URL, which ends up in logs."""
    return "x-goog-api-key", key


def read(body: bytes, route: Route, *, most_messages: int) -> Request:
    """Check a body and read its contents.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    fields = decoded(_decoder.decode, body, messages="contents")
    check_names(body)
    check_number(fields.contents, most_messages, field="contents")
    raw = [bytes(content) for content in fields.contents]
    messages = tied([content_of(each, place) for place, each in enumerate(raw)])
    is_tail = bool(fields.cached_content or fields.cached_content_camel)
    tools = bytes(fields.tools)
    front = tools + msgspec.json.encode(
        fields.system_instruction or fields.system_instruction_camel
    )
    return Request(
        body, route.model, raw, messages, front, bool(tools), may_be_filtered=not is_tail
    )


def written(request: Request, runs: list[list[int]]) -> bytes | None:
    """Return the request's body with only the contents in `runs`, each run joined to one.

    None where the rest would break a rule of turns that held before.
    """
    rest = [request.messages[run[0]] for run in runs]
    if broken_rules(rest) - broken_rules(request.messages):
        return None
    fields = _fields_decoder.decode(request.body)
    kept = b",".join(_joined(request, run) for run in runs)
    fields["contents"] = Raw(b"[" + kept + b"]")
    return msgspec.json.encode(fields)


def _joined(request: Request, run: list[int]) -> bytes:
    """Return one content for a run: itself byte for byte, or the parts of several plain ones."""
    if len(run) == 1:
        return request.raw_messages[run[0]]
    role = "user" if request.messages[run[0]].role == "user" else "model"
    parts = [part for i in run for part in _plain_decoder.decode(request.raw_messages[i]).parts]
    return msgspec.json.encode({"role": role, "parts": parts})


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


def error(fault: ApiError) -> bytes:
    """Return an error's body."""
    status = _STATUSES.get(fault.status, "INTERNAL" if fault.status >= 500 else "INVALID_ARGUMENT")
    fields = {"code": fault.status, "message": fault.message, "status": status}
    return msgspec.json.encode({"error": fields})


def broken(fault: ApiError) -> bytes:
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
