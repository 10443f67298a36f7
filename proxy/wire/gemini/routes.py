"""Gemini's generateContent on the way: which paths it is, and how a key is shown."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

from proxy.common.errors import InvalidRequest
from proxy.common.web.asgi import Scope, header, printable_query
from proxy.wire.dialect import Route

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
    query = printable_query(scope)
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
