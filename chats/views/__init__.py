"""The chats' API, whose callers show a token, or the session of a page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings

TOKEN_OR_SESSION: list[Any] = [
    *api_settings.DEFAULT_AUTHENTICATION_CLASSES,
    import_string(settings.SESSION_AUTHENTICATION_CLASS),
]
