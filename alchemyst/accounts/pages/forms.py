"""Forms of an account, with the same limits and rules as the API has."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import Throttled
from unfold.forms import AuthenticationForm as StaffAuthenticationForm

from alchemyst.accounts.api.serializers import LONGEST_PASSWORD
from alchemyst.accounts.limits.throttles import sign_in
from alchemyst.accounts.models import User, cost_presets
from proxy.relevance.modes import relevance_modes


def post_data(request: HttpRequest) -> QueryDict | None:
    """Return what a form was sent with, if it was."""
    return request.POST if request.method == "POST" else None


class Segments(forms.RadioSelect):
    """One of a few, side by side."""

    template_name = "components/segments.html"


class SignInForm(AuthenticationForm):
    """Django's form, with failures counted."""

    def clean(self) -> dict[str, Any]:
        request = self.request or HttpRequest()
        try:
            with sign_in(request, self.cleaned_data.get("username") or ""):
                return super().clean()
        except Throttled as error:
            raise _too_many(error)


class AdminSignInForm(SignInForm, StaffAuthenticationForm):
    """The same for the admin's sign-in page."""


class SignUpForm(forms.ModelForm):
    """A new account, made by the person whom it is for."""

    password = forms.CharField(
        label=_("Password"),
        max_length=LONGEST_PASSWORD,
        strip=False,
        help_text=_("At least 8 characters, not all digits, and none of the common ones."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = User
        fields = ["username", "email", "password"]
        labels = {"username": _("Username"), "email": _("E-mail address")}
        help_texts = {
            "username": _("Letters, digits and @ . + - _"),
            "email": _("To reset a forgotten password. Nothing else is sent there."),
        }
        widgets = {
            "username": forms.TextInput(
                attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
            ),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if password := cleaned.get("password"):
            stranger = User(username=cleaned.get("username", ""), email=cleaned.get("email", ""))
            try:
                validate_password(password, stranger)
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned

    def clean_username(self) -> str:
        """Say early what is taken; `registered` decides."""
        username: str = self.cleaned_data["username"]
        if User.objects.get_queryset().named(username).exists():
            raise ValidationError(gettext("This username is taken."))
        return username

    def register(self) -> User | None:
        """Make the account; None, with an error on the form, if its name is taken."""
        fields = self.cleaned_data
        try:
            with transaction.atomic():
                return User.objects.create_user(
                    fields["username"], fields["email"], fields["password"]
                )
        except IntegrityError:
            self.add_error("username", gettext("This username is taken."))
            return None


class PreferencesForm(forms.ModelForm):
    """How a person wants things."""

    theme = forms.ChoiceField(
        label=_("Theme"),
        required=False,
        choices=[("", _("System")), ("light", _("Light")), ("dark", _("Dark"))],
        widget=Segments,
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=lambda: [("", _("The browser's")), *settings.LANGUAGES],
    )
    relevance = forms.ChoiceField(
        label=_("Relevance mode"),
        required=False,
        choices=lambda: [("", _("The operator's choice")), *relevance_modes()],
        help_text=_(
            "How strictly history is filtered before a model gets it. A key or a request can say "
            "otherwise."
        ),
    )
    cost = forms.ChoiceField(
        label=_("Cost"),
        required=False,
        choices=lambda: [("", _("The operator's choice")), *cost_presets()],
        help_text=_("How boldly to filter where a provider bills what it has cached at less."),
    )
    keep_chats_days = forms.TypedChoiceField(
        label=_("Keep chats"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=lambda: [
            ("", _until()),
            (7, _("7 days")),
            (30, _("30 days")),
            (90, _("90 days")),
            (365, _("A year")),
        ],
        help_text=_("Counted from the last message; then they go to the trash. Pinned chats stay."),
    )

    class Meta:
        model = User
        fields = ["theme", "language", "relevance", "cost", "keep_chats_days", "email"]
        labels = {"email": _("E-mail address")}
        help_texts = {"email": _("To reset a forgotten password. Nothing else is sent there.")}
        widgets = {"email": forms.EmailInput(attrs={"autocomplete": "email"})}


class EraseForm(forms.Form):
    """The password, to erase an account."""

    password = forms.CharField(
        label=_("Your password"),
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, user: User, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.request = request

    def clean(self) -> dict[str, Any]:
        self._check_password(self.cleaned_data.get("password", ""))
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=self.user.pk)
        if self.user.is_superuser and not others.exists():
            message = gettext("You are the only administrator. Make another one first.")
            raise ValidationError(message, code="last")
        return self.cleaned_data

    def _check_password(self, password: str) -> None:
        try:
            with sign_in(self.request, self.user.username):
                if not self.user.check_password(password):
                    raise ValidationError({"password": gettext("This is not your password.")})
        except Throttled as error:
            raise _too_many(error)


def _until() -> str:
    """Return how long chats are kept where their owner has not chosen."""
    if days := settings.CHAT_KEEP_DAYS:
        return gettext("As the operator keeps them: %(days)d days") % {"days": days}
    return gettext("Until I delete them")


def _too_many(error: Throttled) -> ValidationError:
    seconds = max(1, round(getattr(error, "wait", None) or 0))
    message = gettext("Too many attempts. Try again in %(seconds)d seconds.")
    return ValidationError(message % {"seconds": seconds}, code="throttled")
