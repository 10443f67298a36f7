"""A new password: for those who know the old one, and by e-mail for those who don't."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext

from alchemyst.accounts.limits import rate
from alchemyst.accounts.limits.throttles import address_of


class Change(views.PasswordChangeView):
    """Every other session, and every token, ends with the old password."""

    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("settings")

    def form_valid(self, form: Any) -> HttpResponse:
        message = gettext("Your password is changed, and you are signed out everywhere else.")
        messages.success(self.request, message)
        return super().form_valid(form)


class Reset(views.PasswordResetView):
    """Says the same whether or not there is an account with that address."""

    template_name = "accounts/password_reset.html"
    email_template_name = "accounts/password_reset_mail.txt"
    subject_template_name = "accounts/password_reset_subject.txt"
    success_url = reverse_lazy("password-reset-sent")

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        if rate.check("login", f"reset {address_of(self.request)}"):
            form.add_error(None, gettext("Too many attempts. Wait a minute, then try again."))
            return self.form_invalid(form)
        return super().form_valid(form)


class ResetSent(views.PasswordResetDoneView):
    template_name = "accounts/password_reset_sent.html"


class ResetConfirm(views.PasswordResetConfirmView):
    """Where the link in the e-mail leads."""

    template_name = "accounts/password_reset_confirm.html"
    success_url = reverse_lazy("home")
    post_reset_login = True

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, gettext("Your password is changed."))
        return super().form_valid(form)
