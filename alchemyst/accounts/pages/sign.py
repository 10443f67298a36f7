"""Signing up, in and out, in a browser."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, views
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import View

from alchemyst.accounts.limits import rate
from alchemyst.accounts.limits.throttles import address_of
from alchemyst.accounts.pages.forms import SignInForm, SignUpForm


class SignIn(views.LoginView):
    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


class SignOut(views.LogoutView):
    """End the session, and with it the drafts that the chat keeps in the browser."""

    next_page = "home"

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        response["Clear-Site-Data"] = '"storage"'
        return response


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class SignUp(View):
    """Make an account and sign in, where the operator lets strangers do so."""

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not settings.REGISTRATION_OPEN:
            raise PermissionDenied
        if request.user.is_authenticated:
            return redirect("home")
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.render_form(request, SignUpForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SignUpForm(request.POST)
        if rate.check("anonymous", address_of(request)):
            form.add_error(None, gettext("Too many attempts. Wait a minute, then try again."))
        user = form.register() if form.is_valid() else None
        if user is None:
            return self.render_form(request, form)
        login(request, user)
        return redirect("home")

    def render_form(self, request: HttpRequest, form: SignUpForm) -> HttpResponse:
        return render(request, "accounts/sign_up.html", {"form": form})
