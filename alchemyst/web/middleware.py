"""What holds for every page: where it may load from, its language, how often one may send."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.deprecation import MiddlewareMixin

from alchemyst.accounts.limits import rate
from alchemyst.errors import too_many
from chats.pages.urls import ASKING
from proxy.common.web.asgi import PRIVATE

API = "/api/"
# All but the schema and its page, which are the same for everybody.
VERSIONED_API = "/api/v1/"

_STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# Pages that others have written: Swagger UI and the admin's theme set styles in their markup.
_LENIENT = _STRICT | {"style-src": "'self' 'unsafe-inline'"}
# The theme's library, Alpine, also makes functions of the texts in its own attributes. No script
# that stands in a page runs even so.
_STAFF = _LENIENT | {"script-src": "'self' 'unsafe-eval'"}


def _header_of(policy: dict[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


STRICT, LENIENT, STAFF = map(_header_of, (_STRICT, _LENIENT, _STAFF))


class ContentSecurityPolicy(MiddlewareMixin):
    """Tells browsers to load and run nothing but our own files."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        policy = STRICT
        if request.path.startswith("/admin/"):
            policy = STAFF
        elif request.path.startswith("/api/docs"):
            policy = LENIENT
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class PrivateAPI(MiddlewareMixin):
    """Tells caches to keep nothing that the API answers: it is its caller's own."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path.startswith(VERSIONED_API):
            response.headers.setdefault("Cache-Control", PRIVATE)
        return response


class PreferredLanguage(LocaleMiddleware):
    """The language of the account, else of the cookie, else of the browser. The API's is fixed."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path.startswith(API):
            chosen = settings.LANGUAGE_CODE
        else:
            chosen = getattr(request.user, "language", "")
        if not chosen:
            super().process_request(request)
            return
        translation.activate(chosen)
        request.LANGUAGE_CODE = translation.get_language()

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path.startswith(API):
            return response
        return super().process_response(request, response)


class RateLimitedForms(MiddlewareMixin):
    """Counts what a signed-in person sends from pages, by the limits that the API has too."""

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        match = request.resolver_match
        if request.method != "POST" or not match or not request.user.is_authenticated:
            return None
        if request.path.startswith((API, "/admin/")):
            return None
        limit = "chat" if match.url_name in ASKING else "api"
        wait = rate.check(limit, str(request.user.pk))
        return too_many(request, wait) if wait else None
