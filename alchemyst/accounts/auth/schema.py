"""How the OpenAPI schema speaks of our bearer tokens, and of the sessions of pages."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "alchemyst.accounts.auth.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A JWT access token, or a personal API key (alk_…).",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "alchemyst.accounts.auth.sessions.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "The session of a page; changes also want the header X-CSRFToken.",
        }
