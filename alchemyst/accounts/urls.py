from __future__ import annotations

from django.urls import path

from alchemyst.accounts import views

urlpatterns = [
    path("register", views.RegisterView.as_view(), name="register"),
    path("token", views.TokenView.as_view(), name="token"),
    path("token/refresh", views.RefreshView.as_view(), name="token-refresh"),
    path("token/verify", views.VerifyView.as_view(), name="token-verify"),
    path("logout", views.LogoutView.as_view(), name="logout"),
    path("keys", views.KeysView.as_view(), name="keys"),
    path("keys/<uuid:key_id>", views.KeyView.as_view(), name="key"),
]
