"""The accounts API. A slash at the end is as good as none, and not worth a word in the schema."""

from __future__ import annotations

from django.urls import path

from alchemyst.accounts.api import views

VIEWS = {
    "register": views.RegisterView,
    "token": views.TokenView,
    "token/refresh": views.RefreshView,
    "token/verify": views.VerifyView,
    "logout": views.LogoutView,
    "keys": views.KeysView,
    "keys/<uuid:key_id>": views.KeyView,
}

urlpatterns = [path(route, view.as_view()) for route, view in VIEWS.items()]
urlpatterns += [path(f"{route}/", view.as_view(schema=None)) for route, view in VIEWS.items()]
