"""Where everything but the proxy's own path is found (`asgi.py` serves that one)."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from alchemyst.operations import health, metrics
from alchemyst.web import pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("start", pages.start, name="start"),
    path("", include("alchemyst.accounts.pages.urls")),
    path("", include("proxy.pages.urls")),
    path("", include("personas.page_urls")),
    path("", include("chats.pages.urls")),
    path("settings/export", pages.export, name="settings-export"),
    path("styleguide", pages.styleguide, name="styleguide"),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", metrics.page),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/v1/auth/", include("alchemyst.accounts.api.urls")),
    path("api/v1/", include("proxy.api.urls")),
    path("api/v1/", include("personas.urls")),
    path("api/v1/", include("chats.urls")),
]

handler400 = "alchemyst.errors.bad_request"
handler403 = "alchemyst.errors.forbidden"
handler404 = "alchemyst.errors.not_found"
handler500 = "alchemyst.errors.server_error"
