"""The endpoints of answers in the OpenAPI schema: views that only the schema knows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from chats.serializers.answers import (
    ChatAnswerSerializer,
    ChatGeneratedSerializer,
    ChatMetadataSerializer,
)
from chats.serializers.questions import (
    LONGEST_KEY,
    AgainSerializer,
    AnswerSerializer,
    ContinueSerializer,
    GenerateQuery,
    GenerateSerializer,
)
from chats.views import TOKEN_OR_SESSION
from proxy.common.web.drf import ERROR
from proxy.common.web.schema_views import SchemaOnlyView, header, operation, refusals

PREFIX = "/api/v1/chat"


class AnswerView(SchemaOnlyView):
    authentication_classes = TOKEN_OR_SESSION


_EVENTS = OpenApiResponse(
    OpenApiTypes.ANY,
    'Server-sent events, each with an `id`: `{"type": "thinking_update", "content"}` for each '
    'step, `{"type": "response_delta", "content"}` for each piece, one `{"type": '
    '"final_response", "content", "json"}`, one `{"type": "metadata", "content": ChatMetadata}`, '
    'then `[DONE]`. An answer that failed or broke off has `{"content": null, "error": '
    '{"message", "type", "code", "status"}}` in place of the final response, after the metadata. '
    "Comments keep an idle connection open.",
)
_STREAM = {(200, "text/event-stream"): _EVENTS}
_WHOLE_OR_STREAM: dict[Any, Any] = {201: ChatGeneratedSerializer, **_STREAM}
_REFUSED = {
    400: "The body, the query or a header is not valid, or the persona is not known.",
    401: "The token is missing, expired or revoked.",
    403: "The key or the persona lacks the scope, or a page's CSRF token is missing.",
    404: "There is no such chat, message or replay session of yours.",
    409: "An answer is being written in this chat, or the key belongs to another question.",
    413: "The body is too large.",
    429: "Too many requests, or answers at once: wait as long as Retry-After says.",
    502: "The model's provider failed or broke off; `details` names what was kept.",
    503: "The server is restarting, or the model has too much to do.",
    504: "The model's provider did not answer in time.",
}


def _errors(*but: int) -> dict[int, OpenApiResponse]:
    return refusals(ERROR, {code: text for code, text in _REFUSED.items() if code not in but})


_LOOK_ERRORS = _errors(409, 413, 502, 504)
_KEY = header(
    "Idempotency-Key",
    "The same question with the same key is one question, one call, one answer.",
    type={"type": "string", "maxLength": LONGEST_KEY},
)
_LAST = header(
    "Last-Event-ID",
    "The last event that the client has; the stream goes on after it.",
    type={"type": "integer", "minimum": 0, "maximum": 999_999_999},
)
_CHAT = OpenApiParameter("chatId", OpenApiTypes.UUID, "path")
_SESSION = OpenApiParameter("replaySessionID", OpenApiTypes.UUID, "path")


def _asking(name: str, summary: str, responses: dict[Any, Any], *more: OpenApiParameter) -> Any:
    return operation(
        "post",
        AnswerView,
        operation_id=name,
        summary=summary,
        parameters=[GenerateQuery, _KEY, *more],
        request=GenerateSerializer,
        responses={**responses, **_errors()},
    )


def _answering(name: str, summary: str, request: Any) -> Any:
    return operation(
        "post",
        AnswerView,
        operation_id=name,
        summary=summary,
        parameters=[_CHAT],
        request=request,
        responses={**_WHOLE_OR_STREAM, **_errors()},
    )


VIEWS: dict[str, Any] = {
    PREFIX: operation(
        "post",
        AnswerView,
        operation_id="chat",
        summary="Answer without keeping anything",
        request=AnswerSerializer,
        responses={200: ChatAnswerSerializer, **_errors(404, 409)},
    ),
    f"{PREFIX}/generate": _asking("chat_generate", "Answer in a chat", _WHOLE_OR_STREAM, _LAST),
    f"{PREFIX}/generate/stream": _asking(
        "chat_generate_stream", "Answer in a chat, as it is made", _STREAM, _LAST
    ),
    f"{PREFIX}/replay/<replaySessionID>": operation(
        "get",
        AnswerView,
        operation_id="chat_replay",
        summary="Read an answer again, live or ended",
        parameters=[_SESSION, _LAST],
        responses={**_STREAM, **_LOOK_ERRORS},
    ),
    f"{PREFIX}/replay/<replaySessionID>/stop": operation(
        "post",
        AnswerView,
        operation_id="chat_stop",
        summary="Stop an answer and keep what there is",
        parameters=[_SESSION],
        request=None,
        responses={200: ChatMetadataSerializer, **_errors(400, 409, 413, 502, 504)},
    ),
    f"{PREFIX}/<chatId>/regenerate": _answering(
        "chat_regenerate",
        "Answer once more, or an edited question, on a new branch",
        AgainSerializer,
    ),
    f"{PREFIX}/<chatId>/continue": _answering(
        "chat_continue", "Go on with an answer that broke off or was stopped", ContinueSerializer
    ),
}
