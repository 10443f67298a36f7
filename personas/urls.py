"""The personas' API."""

from __future__ import annotations

from django.urls import path

from personas import views

VIEWS = {
    "personas": views.PersonasView,
    "personas/<slug:slug>": views.PersonaView,
    "personas/<slug:slug>/versions": views.VersionsView,
}

urlpatterns = [path(route, view.as_view()) for route, view in VIEWS.items()]
urlpatterns += [path(f"{route}/", view.as_view(schema=None)) for route, view in VIEWS.items()]
