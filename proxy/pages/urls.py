"""The proxy's pages. A page below another one is named after it: `providers`, `providers-new`."""

from __future__ import annotations

from django.urls import path

from proxy.pages import playground, providers, usage

urlpatterns = [
    path("playground", playground.playground, name="playground"),
    path("usage", usage.usage, name="usage"),
    path("usage.csv", usage.usage_sheet, name="usage-sheet"),
    path("providers", providers.providers, name="providers"),
    path("providers/new", providers.new_provider, name="providers-new"),
    path("providers/restore", providers.restore_provider, name="providers-restore"),
    path("providers/<uuid:provider_id>/delete", providers.delete_provider, name="providers-delete"),
]
