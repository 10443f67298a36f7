"""The pages of an account. A page below another one is named after it: `keys`, `keys-new`."""

from __future__ import annotations

from django.urls import path

from alchemyst.accounts.pages import keys, password, preferences, sign

urlpatterns = [
    path("signin", sign.SignIn.as_view(), name="sign-in"),
    path("signout", sign.SignOut.as_view(), name="sign-out"),
    path("signup", sign.SignUp.as_view(), name="sign-up"),
    path("password/reset", password.Reset.as_view(), name="password-reset"),
    path("password/reset/sent", password.ResetSent.as_view(), name="password-reset-sent"),
    path(
        "password/reset/<uidb64>/<token>",
        password.ResetConfirm.as_view(),
        name="password-reset-confirm",
    ),
    path("settings", preferences.preferences, name="settings"),
    path("settings/password", password.Change.as_view(), name="settings-password"),
    path("settings/erase", preferences.erase, name="settings-erase"),
    path("keys", keys.keys, name="keys"),
    path("keys/new", keys.new_key, name="keys-new"),
    path("keys/restore", keys.restore_key, name="keys-restore"),
    path("keys/<uuid:key_id>", keys.change_key, name="keys-change"),
    path("keys/<uuid:key_id>/revoke", keys.revoke_key, name="keys-revoke"),
]
