"""Signing in on a page, with the same limit on failures as the API has."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from alchemyst.accounts.throttles import sign_in


class SignInForm(AuthenticationForm):
    """Django's form, with failures counted."""

    def clean(self) -> dict[str, Any]:
        request = self.request or HttpRequest()
        try:
            with sign_in(request, self.cleaned_data.get("username") or ""):
                return super().clean()
        except Throttled as error:
            raise ValidationError(str(error.detail), code="throttled")


class AdminSignInForm(SignInForm, AdminAuthenticationForm):
    """The same for the admin's sign-in page."""
