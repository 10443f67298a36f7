"""Gemini's generateContent on the way: which paths it is, and how a key is shown."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

from proxy.common.errors import InvalidRequest
from proxy.common.web.asgi import Scope, header_names, query_of
from proxy.wire import resources
from proxy.wire.dialect import Route

NAME = "gemini"
OWN_HOST = "generativelanguage.googleapis.com"
SUPPORTED = (
    "Use POST /api/v1/proxy/{target}/v1beta/models/{model}:{task} with a task such as "
    "generateContent, streamGenerateContent, countTokens or batchEmbedContents, GET "
    "/api/v1/proxy/{target}/v1beta/models or any other path of Google's, where the target is "
    "https://generativelanguage.googleapis.com."
)
FILTERED = ("generateContent", "streamGenerateContent")
_KEY_HEADER = b"x-goog-api-key"
# Where the provider's own path begins.
_RESOURCE = re.compile(r"/(v1|v1alpha|v1beta)/(?=(?:models|tunedModels|projects)(?:/|:|%3A|$))")
_TASK = re.compile(r"(?::|%3A)([a-z]{1,40})$", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9._~%@!$&'()*+,;=/:-]+")
# Google's other resources; its OpenAI-compatible endpoints are OpenAI's.
_ELSEWHERE = re.compile(r"/(?:v1alpha|v1beta)/(?!openai/)")
# Where the provider's own path begins, whatever it is of; files go up and down by paths of their
# own.
_OWN_PATH = re.compile(r"(?:/(?:upload|download))?/(?:v1|v1alpha|v1beta)(?=/)")
_DOUBLED = re.compile(r"/(v1|v1alpha|v1beta)/\1(?=/)")


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` speak Gemini's dialect.

    `/v1/models` is OpenAI's as well: there the way in which the key is shown decides.
    """
    match = _RESOURCE.search(path)
    if not match:
        return _ELSEWHERE.search(path) is not None or _has_key_header(scope)
    return match[1] != "v1" or _TASK.search(path) is not None or _shows_key(scope)


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for: a task of a model, what is known of one or of all, or whatever
    else there is.
    """
    known = _known_route(path, scope)
    if known and known.method == scope["method"]:
        return known
    return _other_route(path, scope) or known


def _known_route(path: str, scope: Scope) -> Route | None:
    match = _RESOURCE.search(path)
    if not match:
        return None
    resource = path[match.end() :]
    task = _TASK.search(resource)
    model = resource[: task.start()] if task else resource
    if not _NAME.fullmatch(resource) or {".", ".."} & set(unquote(model).split("/")):
        return None
    endpoint = f"/{match[1]}/{model}{f':{task[1]}' if task else ''}{_query(scope)}"
    name = unquote(model).removeprefix("models").removeprefix("/")
    # Some clients append the version to a base URL that has it.
    target = path[: match.start()].removesuffix(f"/{match[1]}")
    if task:
        return Route(target, endpoint, task[1], "POST", task[1] in FILTERED, name)
    return Route(target, endpoint, "models", "GET", model=name)


def _other_route(path: str, scope: Scope) -> Route | None:
    """Return what no task and no list of models is, as it stands in the path."""
    path = _DOUBLED.sub(r"/\1", path, count=1)
    match = _OWN_PATH.search(path)
    if not match:
        return None
    endpoint = path[match.start() :]
    segments = endpoint.split("/")
    return Route(
        path[: match.start()],
        endpoint + _query(scope),
        resources.name_of(segments),
        scope["method"],
        model=resources.model_of(segments),
        is_known=False,
    )


def _query(scope: Scope) -> str:
    """Return the query as it came, without the provider's key, after its question mark."""
    if not (whole := query_of(scope)):
        return ""
    query = "&".join(pair for pair in whole.split("&") if not _is_key(pair))
    return f"?{query}" if query else ""


def _is_key(pair: str) -> bool:
    return unquote_plus(pair.partition("=")[0]) == "key"


def _key_in_query(scope: Scope) -> str | None:
    query: str = scope.get("query_string", b"").decode("latin-1")
    pairs = (pair for pair in query.split("&") if _is_key(pair))
    return next((unquote_plus(pair.partition("=")[2]) for pair in pairs), None)


def _shows_key(scope: Scope) -> bool:
    return _has_key_header(scope) or _key_in_query(scope) is not None


def _has_key_header(scope: Scope) -> bool:
    return _KEY_HEADER in header_names(scope)


def key(scope: Scope) -> str:
    """Return the provider's key from the query; raises InvalidRequest without one."""
    key = _key_in_query(scope)
    if not key:
        raise InvalidRequest(
            "The provider's key is missing. Send it in the header x-goog-api-key or "
            "X-Upstream-Api-Key, or as ?key=."
        )
    return key


def credential(key: str) -> tuple[str, str]:
    """Return the header by which Gemini is shown a key: never the URL, which ends up in logs."""
    return "x-goog-api-key", key
