"""What people type on the proxy's pages, with the rules that the API has."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from proxy.api.serializers import ProviderSerializer
from proxy.models import Provider
from proxy.models.provider import LONGEST_URL

LONGEST_KEY = 1000


def post_data(request: HttpRequest) -> QueryDict | None:
    """Return what a form was sent with, if it was."""
    return request.POST if request.method == "POST" else None


class ProviderForm(forms.Form):
    """A new provider. What is allowed in it, the API decides."""

    name = forms.CharField(
        label=_("Name"),
        max_length=40,
        help_text=_("Short, for the path: lower-case letters, digits and hyphens."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    dialect = forms.ChoiceField(
        label=_("Chats speak"),
        choices=Provider.Dialect.choices,
        help_text=_("Your programs may speak any of these to it."),
    )
    base_url = forms.CharField(
        label=_("Base URL"),
        max_length=LONGEST_URL,
        help_text=_(
            "Such as https://api.openai.com/v1, https://api.anthropic.com or "
            "https://generativelanguage.googleapis.com, without the endpoint. A query in it is "
            "added to each request."
        ),
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
    )
    key = forms.CharField(
        label=_("Its key"),
        max_length=LONGEST_KEY,
        help_text=_("Encrypted before it is kept, and never shown again."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    is_shared = forms.BooleanField(
        label=_("Everybody may use it"),
        required=False,
        help_text=_("Under the same name. Nobody sees its key."),
    )

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(post_data(request))
        self.request = request
        if not getattr(request.user, "is_staff", False):
            del self.fields["is_shared"]

    def clean(self) -> dict[str, Any]:
        serializer = ProviderSerializer(data=self.cleaned_data, context={"request": self.request})
        if not serializer.is_valid():
            for name, errors in serializer.errors.items():
                if name not in self.errors:
                    self.add_error(name if name in self.fields else None, list(map(str, errors)))
        self.provider_fields: dict[str, Any] = getattr(serializer, "validated_data", {})
        return self.cleaned_data

    def store(self, owner_id: int) -> Provider | None:
        """Store the provider; None, with an error on the form, if its name is taken."""
        provider = Provider.sealed(owner_id, **self.provider_fields)
        if provider.take_name():
            return provider
        self.add_error("name", gettext("A provider of this name is stored already."))
        return None
