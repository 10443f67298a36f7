"""What a person has choices, and the end of an account."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from alchemyst.accounts.auth.authentication import signed_in
from alchemyst.accounts.models import AuditEntry
from alchemyst.accounts.pages.forms import EraseForm, PreferencesForm, post_data

MOST_ENTRIES = 20
YEAR = 365 * 24 * 60 * 60


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    form = PreferencesForm(post_data(request), instance=user)
    if not form.is_valid():
        entries = AuditEntry.objects.shown_to(user.pk).order_by("-created")[:MOST_ENTRIES]
        return render(request, "accounts/settings.html", {"form": form, "entries": entries})
    form.save()
    with translation.override(user.language or translation.get_language()):
        messages.success(request, gettext("Saved."))
    return set_cookies(redirect("settings"), {"theme": user.theme, "language": user.language})


def set_cookies(response: HttpResponse, choices: dict[str, str]) -> HttpResponse:
    """Let this browser keep theme and language after its user has signed out."""
    names = {"theme": "theme", "language": settings.LANGUAGE_COOKIE_NAME}
    for key, name in names.items():
        if choices[key]:
            response.set_cookie(
                name, choices[key], max_age=YEAR, secure=settings.HTTPS, samesite="Lax"
            )
        else:
            response.delete_cookie(name, samesite="Lax")
    return response


@sensitive_post_parameters()
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: HttpRequest) -> HttpResponse:
    """Erase the account with all that it owns, for whoever knows its password."""
    user = signed_in(request)
    form = EraseForm(user, post_data(request), request=request)
    if not form.is_valid():
        return render(request, "accounts/erase.html", {"form": form})
    user.delete()
    logout(request)
    messages.success(request, gettext("Your account and all that it held are erased."))
    return redirect("home")
