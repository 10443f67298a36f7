"""The proxy's own API. What is forwarded goes another way (`views/routes.py`)."""

from __future__ import annotations

from django.urls import path

from proxy.api import providers, usage

VIEWS = {
    "providers": providers.ProvidersView,
    "providers/<uuid:provider_id>": providers.ProviderView,
    "usage": usage.UsageView,
}

urlpatterns = [path(route, view.as_view()) for route, view in VIEWS.items()]
urlpatterns += [path(f"{route}/", view.as_view(schema=None)) for route, view in VIEWS.items()]
