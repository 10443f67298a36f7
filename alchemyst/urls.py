"""Where everything but the proxy's own path is found (`asgi.py` serves that one)."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from alchemyst import health

admin.site.site_header = admin.site.site_title = "Alchemyst"
admin.site.index_title = "Administration"

urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html"), name="home"),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/v1/auth/", include("alchemyst.accounts.urls")),
    path("api/v1/", include("proxy.urls")),
]

handler400 = "alchemyst.errors.bad_request"
handler403 = "alchemyst.errors.forbidden"
handler404 = "alchemyst.errors.not_found"
handler500 = "alchemyst.errors.server_error"
