"""Who is calling, by the session of a page: for requests that do not pass Django's handler."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.request import Request

from alchemyst.accounts.auth.access import Access
from alchemyst.accounts.auth.authentication import ALL_SCOPES, NO_CREDENTIAL
from alchemyst.accounts.models import User
from proxy.common.web.asgi import Scope

NO_CSRF_TOKEN = "Send the CSRF token of this site's cookie in the header X-CSRFToken."  # noqa: S105


def of_session(scope: Scope) -> Access:
    """Return what a session allows, by a query of the database.

    Raises NotAuthenticated; PermissionDenied for a change without the CSRF token; and
    DisallowedHost.
    """
    request: Any = ASGIRequest({"method": "GET", **scope}, BytesIO())
    request.get_host()
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    if not isinstance(user, User):
        raise NotAuthenticated(NO_CREDENTIAL)
    return _access_of(user, request)


class SessionAuthentication(BaseAuthentication):
    """For DRF: lets a page's visitor in who shows no token, by the session."""

    def authenticate(self, request: Request) -> tuple[User, Access] | None:
        http_request: HttpRequest = request._request
        user = getattr(http_request, "user", None)
        if "HTTP_AUTHORIZATION" in request.META or not isinstance(user, User):
            return None
        return user, _access_of(user, http_request)


def _access_of(user: User, request: HttpRequest) -> Access:
    """Return what the session of a user allows; PermissionDenied for a change without the token."""
    check: Any = CSRFCheck(HttpResponse)
    check.process_request(request)
    if check.process_view(request, None, (), {}):
        raise PermissionDenied(NO_CSRF_TOKEN)
    return Access(user, ALL_SCOPES, user.relevance, None, float("inf"), cost=user.cost)
