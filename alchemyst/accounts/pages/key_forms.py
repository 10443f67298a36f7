"""Forms of API keys; what is allowed in them, the API's serializer decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from alchemyst.accounts.api.serializers import ApiKeySerializer
from alchemyst.accounts.models import ApiKey, cost_presets
from proxy.relevance.modes import relevance_modes

SCOPES = [
    ("proxy", _("proxy: send requests through the context proxy")),
    ("chat", _("chat: chats and their history")),
    ("internal", _("internal: personas for internal use")),
    ("external", _("external: personas for external use")),
]
# Besides days, what may become of a key's end.
NEVER, UNCHANGED = 0, -1


class PatternsField(forms.CharField):
    """Names or beginnings of names, one on each line; None for an empty field."""

    def __init__(self, **kwargs: Any) -> None:
        area = forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "autocapitalize": "none"})
        super().__init__(required=False, widget=area, **kwargs)

    def clean(self, value: Any) -> list[str] | None:
        return super().clean(value).split() or None


class ApiKeyForm(forms.Form):
    """A new API key."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Where it is used: my laptop, the support bot."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=SCOPES,
        initial=["proxy", "chat", "internal"],
        widget=forms.CheckboxSelectMultiple,
    )
    relevance = forms.ChoiceField(
        label=_("Relevance mode"),
        required=False,
        choices=lambda: [("", _("As in my settings")), *relevance_modes()],
    )
    cost = forms.ChoiceField(
        label=_("Cost"),
        required=False,
        choices=lambda: [("", _("As in my settings")), *cost_presets()],
    )
    expires = forms.TypedChoiceField(
        label=_("Expires"),
        coerce=int,
        initial=90,
        choices=[
            (30, _("In 30 days")),
            (90, _("In 90 days")),
            (365, _("In a year")),
            (NEVER, _("Never")),
        ],
    )
    allowed_models = PatternsField(
        label=_("Models"),
        help_text=_("One on each line; gpt-4* is every name that begins so. Empty: any."),
    )
    allowed_hosts = PatternsField(
        label=_("Hosts"),
        help_text=_("Of providers, one on each line; default is the built-in model. Empty: any."),
    )
    records = forms.ChoiceField(
        label=_("Keep the filter's decisions"),
        required=False,
        choices=[
            ("", _("No")),
            ("scores", _("Digests and scores")),
            ("texts", _("Digests, scores and texts")),
        ],
        help_text=_("For a week, to look up why a message was left out of a request."),
    )
    keeps_chats = forms.BooleanField(
        label=_("Keep conversations as chats"),
        required=False,
        help_text=_("What this key says through the proxy stands in your history, as other chats."),
    )

    def clean(self) -> dict[str, Any]:
        fields = {name: value for name, value in self.cleaned_data.items() if name != "expires"}
        days = self.cleaned_data.get("expires", UNCHANGED)
        if days != UNCHANGED:
            fields["expires_at"] = timezone.now() + timedelta(days=days) if days else None
        self.serializer = self.get_serializer(fields)
        if not self.serializer.is_valid():
            for name, errors in self.serializer.errors.items():
                if name not in self.errors:
                    self.add_error(name if name in self.fields else None, _sentences(errors))
        return self.cleaned_data

    def get_serializer(self, fields: dict[str, Any]) -> ApiKeySerializer:
        return ApiKeySerializer(data=fields)

    @property
    def fields_of_key(self) -> dict[str, Any]:
        """What a key is to have, once the form is valid."""
        fields: dict[str, Any] = self.serializer.validated_data
        return fields


class ApiKeyChangeForm(ApiKeyForm):
    """Another name, other limits for a key that there is. It may lose scopes, and gains none."""

    def __init__(self, key: ApiKey, data: QueryDict | None) -> None:
        patterns = {
            name: "\n".join(getattr(key, name) or ())
            for name in ("allowed_models", "allowed_hosts")
        }
        names = ("name", "scopes", "relevance", "cost", "records", "keeps_chats")
        same = {name: getattr(key, name) for name in names}
        super().__init__(data, initial=same | patterns | {"expires": UNCHANGED})
        self.key = key
        scopes: Any = self.fields["scopes"]
        scopes.choices = [choice for choice in SCOPES if choice[0] in key.scopes]
        ends: Any = self.fields["expires"]
        ends.choices = [(UNCHANGED, _("As it is")), *ends.choices]

    def get_serializer(self, fields: dict[str, Any]) -> ApiKeySerializer:
        return ApiKeySerializer(self.key, data=fields, partial=True)


def _sentences(errors: Any) -> list[str]:
    """Return a serializer's nested errors as a flat list."""
    if isinstance(errors, dict):
        errors = list(errors.values())
    if isinstance(errors, list):
        return list(dict.fromkeys(text for each in errors for text in _sentences(each)))
    return [str(errors)]
