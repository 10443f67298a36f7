"""The one place where an exception becomes an API answer.

Every fault is first an `ApiError` (status, type, code, message), then bytes in the shape that
the caller reads: OpenAI's or Google's on the proxy, `{"message", "error", "details"?}` elsewhere
under /api/. Pages keep Django's HTML.
"""

from __future__ import annotations

import logging
import sys
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views import defaults
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from proxy import wire
from proxy.common.errors import ApiError
from proxy.common.outages import STORAGE, cause_of, outages
from proxy.common.web.asgi import App, Receive, Scope, Send, send_json

QUOTA = "insufficient_quota"
TO_OPERATOR = "The server can store nothing at the moment. Tell its operator, and try again later."

logger = logging.getLogger("alchemyst.errors")

# For a status: its type, the code on the proxy where the exception has none of its own, and
# what we say where the exception does not say it better.
_KINDS = {
    400: ("invalid_request_error", "invalid_request", "The request is not valid."),
    401: ("authentication_error", "invalid_token", "Give a valid token: Authorization: Bearer …"),
    403: ("permission_error", "insufficient_scope", "This token may not do that."),
    404: ("invalid_request_error", "not_found", "There is nothing here."),
    405: ("invalid_request_error", "method_not_allowed", "This method is not allowed here."),
    406: ("invalid_request_error", "not_acceptable", "Only JSON is served here."),
    408: ("invalid_request_error", "request_timeout", "The request did not arrive in time."),
    409: ("conflict_error", "conflict", "This contradicts something that is there already."),
    413: ("invalid_request_error", "request_too_large", "The body is too large."),
    415: ("invalid_request_error", "unsupported_media_type", "Send JSON."),
    429: ("rate_limit_error", "rate_limit_exceeded", "Too many requests. Wait, then try again."),
    503: ("server_error", "unavailable", "Not available for a moment. Try again."),
}

# What asking again with the same key can't change.
DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

# After so long a database that is away is worth another try.
RETRY_SECONDS = 2


def to_api_error(error: BaseException) -> ApiError:
    """Return the API error that `error` stands for; an unknown one is a 500 without any detail."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestDataTooBig):
        return api_error(413)
    if cause := cause_of(error):
        outages.report(error)
        message = TO_OPERATOR if cause.part == STORAGE else ""
        return api_error(503, message, headers=(("retry-after", str(RETRY_SECONDS)),))
    if isinstance(error, Http404):
        return api_error(404)
    if isinstance(error, PermissionDenied):
        return api_error(403)
    if isinstance(error, SuspiciousOperation):
        return api_error(400)
    if isinstance(error, drf.ValidationError):
        details = error.detail if isinstance(error.detail, dict) else {"errors": error.detail}
        result = api_error(error.status_code, _first_words(details))
        result.details = _plain(details)
        return result
    if isinstance(error, drf.APIException):
        result = api_error(error.status_code, _message_of(error), headers=_headers_of(error))
        if error.get_codes() == QUOTA:
            # As OpenAI says it: waiting a moment, as clients do by themselves, does not help.
            result.type = result.code = QUOTA
            result.headers += (("x-should-retry", "false"),)
        return result
    return ApiError(headers=(("x-should-retry", "false"),))


def meaning_of(status: int) -> str:
    """Return what a bare HTTP status means here, for people."""
    return _KINDS[status][2]


def api_error(
    status: int, message: str = "", *, headers: tuple[tuple[str, str], ...] = ()
) -> ApiError:
    """Return an error for a bare HTTP status."""
    if status not in _KINDS:
        return ApiError()
    kind, code, usual = _KINDS[status]
    error = ApiError(message or usual, headers=headers)
    error.status, error.type, error.code = status, kind, code
    return error


def _message_of(error: drf.APIException) -> str:
    """Return an exception's message; empty where it has but its class's default."""
    message = str(error.detail) if isinstance(error.detail, str) else ""
    if not message.startswith(str(type(error).default_detail)):
        return message
    wait = getattr(error, "wait", None)
    return f"Too many requests. Try again in {max(1, ceil(wait))} seconds." if wait else ""


def _headers_of(error: drf.APIException) -> tuple[tuple[str, str], ...]:
    wait: float | None = getattr(error, "wait", None)
    if wait is not None:
        return (("retry-after", str(max(1, ceil(wait)))),)
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        return (("www-authenticate", "Bearer"),)
    return ()


def api_answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer for DRF: the API's shape; None lets Django log a fault of ours and answer 500."""
    known = (
        drf.APIException,
        Http404,
        PermissionDenied,
        ApiError,
        SuspiciousOperation,
    )
    if not isinstance(error, known) and not cause_of(error):
        return None
    set_rollback()
    result = to_api_error(error)
    response = Response(api_body(result), status=result.status)
    for name, value in result.headers:
        response[name] = value
    return response


def _plain(details: Any) -> Any:
    """Return a serializer's errors without the types of its library."""
    if isinstance(details, dict):
        return {str(name): _plain(detail) for name, detail in details.items()}
    return [_plain(detail) for detail in details] if isinstance(details, list) else str(details)


def _first_words(details: dict[str, Any]) -> str:
    """Return one sentence for a person out of a serializer's nested errors."""
    name, detail = next(iter(details.items()), ("", ""))
    while isinstance(detail, dict | list) and detail:
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    is_of_all = name in ("errors", "non_field_errors", "detail")
    return str(detail) if is_of_all else f"{name}: {detail}"


def api_body(error: ApiError) -> dict[str, Any]:
    """Return the body of an error anywhere under /api/ but on the proxy."""
    body: dict[str, Any] = {"message": error.message, "error": error.type}
    return body | {"details": error.details} if error.details else body


def body_for(scope: Scope, error: ApiError) -> bytes:
    """Return the bytes of an error in the shape that the caller of a request reads."""
    if dialect := wire.spoken_in(scope):
        return dialect.error(error)
    return msgspec.json.encode(api_body(error))


class ErrorMiddleware:
    """ASGI: turns what the application raises into an answer, if none has begun.

    Once an answer has begun its status is gone, so the exception goes on to the server, which
    cuts the connection: a cut is no success.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            result = to_api_error(error)
            if result.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                logger.exception("Unexpected failure on %s", scope["path"])
            if scope["has_begun"]:
                raise
            await _send(scope, send, result)


async def _send(scope: Scope, send: Send, error: ApiError) -> None:
    body = body_for(scope, error)
    headers = [
        (b"x-alchemyst-error-source", b"proxy"),
        *((name.encode(), value.encode("latin-1")) for name, value in error.headers),
    ]
    if error.status in DENIED and wire.spoken_in(scope):
        # Agents ask on for minutes with a key that was revoked.
        headers.append((b"x-should-retry", b"false"))
    await send_json(send, body, status=error.status, headers=headers)


def _page_or_json(request: HttpRequest, status: int, page: Any, *args: Any) -> HttpResponse:
    if not request.path.startswith("/api/"):
        answer: HttpResponse = page(request, *args)
        return answer
    return HttpResponse(
        body_for({"path": request.path}, api_error(status)),
        status=status,
        content_type="application/json",
    )


def too_many(request: HttpRequest, wait: float) -> HttpResponse:
    """Answer a form that was sent too often: a page, or a word for a script."""
    error = api_error(429)
    if "X-Fragment" in request.headers:
        answer: HttpResponse = JsonResponse(api_body(error), status=429)
    else:
        answer = render(request, "429.html", status=429)
    answer["Retry-After"] = str(max(1, ceil(wait)))
    return answer


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    status = 413 if isinstance(exception, RequestDataTooBig) else 400
    return _page_or_json(request, status, defaults.bad_request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page_or_json(request, 403, defaults.permission_denied, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page_or_json(request, 404, defaults.page_not_found, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what nobody caught: 503 where only the database is away, which passes, else 500."""
    if not ((error := sys.exception()) and cause_of(error)):
        return _page_or_json(request, 500, defaults.server_error)
    answer = _page_or_json(request, 503, defaults.server_error)
    answer.status_code = 503
    answer["Retry-After"] = str(RETRY_SECONDS)
    return answer
