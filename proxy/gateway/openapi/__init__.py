"""The proxy's path in the OpenAPI schema: views that only the schema knows.

What goes through to a provider has no serializer: of its body only what is checked is told.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from proxy.api.serializers import (
    AnthropicErrorSerializer,
    DecisionRecordSerializer,
    GeminiErrorSerializer,
    PreviewSerializer,
    ProxyErrorSerializer,
)
from proxy.common.web.schema_views import header, in_path, operation, refusals
from proxy.cost import policy
from proxy.gateway.openapi import bodies
from proxy.gateway.request_options import SHADOW
from proxy.relevance import modes
from proxy.wire import gemini

_DENIED = {
    401: "The token is missing, expired or revoked.",
    403: "The API key lacks the scope `proxy`, or its lists don't name this model or host.",
    429: "Too many requests, or too many at once: wait as long as Retry-After says.",
    503: "The server, or the built-in model, is not ready, or a stored key can't be read.",
}
_REFUSED = _DENIED | {
    400: "The body, a header or the target is not valid.",
    404: "No such endpoint, or no such model on `default`.",
    413: "The body is too large.",
    415: "The body is compressed, but not by gzip, deflate or zstd.",
}
_UPSTREAM = {
    502: "The provider could not be reached.",
    504: "The provider did not answer in time.",
}
# Where a path could be OpenAI's as well, it is Gemini's if the key is shown in Gemini's way.
_EITHER_ERROR = {
    "anyOf": [
        {"$ref": "#/components/schemas/GeminiError"},
        {"$ref": "#/components/schemas/ProxyError"},
    ]
}
_TARGET = in_path(
    "target",
    "`default` for the built-in model; or the name of a stored provider; or a provider's base URL, "
    "written literally or percent-encoded, such as `https://api.openai.com/v1`; followed by `/` "
    "and the provider's key unless X-Upstream-Api-Key carries that.",
)
_KEY = header(
    "X-Upstream-Api-Key",
    "The provider's key. The recommended way: a key in a path ends up in logs. Of Authorization, "
    "x-api-key, api-key and x-goog-api-key one may hold it too, if another has the caller's token.",
)
_GEMINI_RESOURCE = [
    in_path(
        "target",
        "The provider's base URL, written literally or percent-encoded, up to the version: "
        "`https://generativelanguage.googleapis.com`; or the name of a stored provider.",
    ),
    in_path("version", enum=["v1beta", "v1", "v1alpha"]),
    header("x-goog-api-key", "The provider's key; X-Upstream-Api-Key is taken too."),
    OpenApiParameter(
        "key", description="The same, as some clients send it; forwarded in the header."
    ),
]
_ANTHROPIC = [
    in_path(
        "target",
        "The provider's base URL, written literally or percent-encoded, up to the version: "
        "`https://api.anthropic.com`; or the name of a stored provider.",
    ),
    header("x-api-key", "The provider's key; X-Upstream-Api-Key is taken too."),
    header("anthropic-version", "Goes to the provider as it came, as every `anthropic-` header."),
]
_MODEL = in_path("model", "The model's name, such as `gemini-2.5-flash`.")
_TASK = in_path(
    "task",
    "Any task of the provider's. Only the first two have their history filtered.",
    enum=[*gemini.FILTERED, "countTokens", "embedContent", "batchEmbedContents"],
)
_ALT = OpenApiParameter(
    "alt", description="`sse` streams events; without it a stream is one JSON array."
)
_WISHES = [
    header(
        "X-Alchemyst-Relevance",
        "How strictly history is filtered; else the key's, user's or operator's. `shadow` tells "
        "what that one would do, and forwards the original.",
        enum=[*modes.NAMES, SHADOW],
    ),
    header(
        "X-Alchemyst-Cost",
        "How the cost of the request is looked at where its provider caches prompts; else the "
        "key's, user's, provider's or operator's. A preview looks at it if asked to.",
        enum=policy.NAMES,
    ),
    header("X-Alchemyst-Pin", "Messages that must stay, by place: `first,3,-1` or `4-9`."),
    header("X-Alchemyst-Exclude", "Messages to leave out, by place."),
]


_TOLD = [
    header(
        "X-Alchemyst-Context",
        "Mode; messages kept and dropped; tokens before and after; ms.",
        response=[200],
    ),
    header("X-Alchemyst-Request-Id", response=True),
]


def _forwarded(errors: Any, *, may_stream: bool = False) -> dict[Any, Any]:
    """Return the answers of a provider, whose own refusals come down under any status."""
    stream = {(200, "text/event-stream"): OpenApiTypes.ANY} if may_stream else {}
    return {
        (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, "As the provider gave it."),
        **stream,
        **refusals(errors, _REFUSED | _UPSTREAM),
        "default": OpenApiResponse(OpenApiTypes.OBJECT, "The provider's own refusal."),
    }


def _preview(name: str, *parameters: OpenApiParameter, body: Any, errors: Any) -> Any:
    return operation(
        "post",
        operation_id=name,
        summary="Tell what the filter would do with each message; no provider is asked",
        parameters=[*parameters, *_WISHES],
        request={"application/json": body},
        responses={200: PreviewSerializer, **refusals(errors, _REFUSED)},
    )


def _gemini_list(name: str, summary: str, *parameters: OpenApiParameter) -> Any:
    return operation(
        "get",
        operation_id=name,
        summary=summary,
        parameters=[*_GEMINI_RESOURCE, *parameters],
        responses=_forwarded(_EITHER_ERROR),
    )


_PREFIX = "/api/v1/proxy"
_RESOURCE = f"{_PREFIX}/<target>/<version>/models"

VIEWS: dict[str, Any] = {
    f"{_PREFIX}/<target>/chat/completions": operation(
        "post",
        operation_id="proxy_chat_completions",
        summary="Complete a chat, with irrelevant and repeated history left out",
        parameters=[_TARGET, _KEY, *_WISHES, *_TOLD],
        request={"application/json": bodies.COMPLETION},
        responses=_forwarded(ProxyErrorSerializer, may_stream=True),
    ),
    f"{_PREFIX}/<target>/responses": operation(
        "post",
        operation_id="proxy_responses",
        summary="Ask for a response, with irrelevant and repeated history left out",
        parameters=[_TARGET, _KEY, *_WISHES, *_TOLD],
        request={"application/json": bodies.RESPONSE},
        responses=_forwarded(ProxyErrorSerializer, may_stream=True),
    ),
    f"{_PREFIX}/<target>/models": operation(
        "get",
        operation_id="proxy_models",
        summary="List a provider's models",
        parameters=[_TARGET, _KEY],
        responses=_forwarded(ProxyErrorSerializer),
    ),
    f"{_RESOURCE}/<model>:<task>": operation(
        "post",
        operation_id="proxy_gemini",
        summary="Ask Gemini, with irrelevant and repeated history left out",
        parameters=[*_GEMINI_RESOURCE, _MODEL, _TASK, _ALT, *_WISHES, *_TOLD],
        request={"application/json": bodies.GENERATION},
        responses=_forwarded(_EITHER_ERROR, may_stream=True),
    ),
    _RESOURCE: _gemini_list("proxy_gemini_models", "List Gemini's models"),
    f"{_RESOURCE}/<model>": _gemini_list(
        "proxy_gemini_model", "Describe a model of Gemini's", _MODEL
    ),
    f"{_PREFIX}/<target>/v1/messages": operation(
        "post",
        operation_id="proxy_anthropic",
        summary="Ask Anthropic, with irrelevant and repeated history left out",
        parameters=[*_ANTHROPIC, *_WISHES, *_TOLD],
        request={"application/json": bodies.MESSAGES},
        responses=_forwarded(AnthropicErrorSerializer, may_stream=True),
    ),
    f"{_PREFIX}/<target>/v1/messages/count_tokens": operation(
        "post",
        operation_id="proxy_anthropic_count",
        summary="Count tokens as Anthropic does, of all that was sent",
        parameters=_ANTHROPIC,
        request={"application/json": bodies.MESSAGES},
        responses=_forwarded(AnthropicErrorSerializer),
    ),
    f"{_PREFIX}/preview": _preview(
        "proxy_preview", body=bodies.COMPLETION, errors=ProxyErrorSerializer
    ),
    f"{_PREFIX}/preview/v1beta/models/<model>:generateContent": _preview(
        "proxy_preview_gemini", _MODEL, body=bodies.GENERATION, errors=GeminiErrorSerializer
    ),
    f"{_PREFIX}/preview/v1/messages": _preview(
        "proxy_preview_anthropic", body=bodies.MESSAGES, errors=AnthropicErrorSerializer
    ),
    f"{_PREFIX}/preview/v1/responses": _preview(
        "proxy_preview_responses", body=bodies.RESPONSE, errors=ProxyErrorSerializer
    ),
    f"{_PREFIX}/requests/<id>": operation(
        "get",
        operation_id="proxy_request",
        summary="Show what was decided of each message of a request",
        parameters=[in_path("id")],
        responses={
            200: DecisionRecordSerializer,
            **refusals(
                ProxyErrorSerializer, _DENIED | {404: "No record of yours is kept under this id."}
            ),
        },
    ),
}
