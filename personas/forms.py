"""A persona as a person writes it in a page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from personas.models import (
    AVATARS,
    LONGEST_STARTER,
    MOST_STARTERS,
    SCOPES,
    Persona,
    PersonaVersion,
    valid_slug,
)
from proxy.common.access import User
from proxy.models import Provider
from proxy.relevance.modes import relevance_modes


class PersonaForm(forms.Form):
    """Makes a persona, or a new version of one."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    slug = forms.CharField(
        label=gettext_lazy("Short name"),
        max_length=40,
        validators=[valid_slug],
        help_text=gettext_lazy("How programs call it: lower-case letters, digits, hyphens."),
    )
    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("One line, shown where one chooses who answers."),
    )
    avatar = forms.ChoiceField(
        label=gettext_lazy("Picture"),
        choices=[("", gettext_lazy("the first letter")), *((name, name) for name in AVATARS)],
        required=False,
    )
    system_prompt = forms.CharField(
        label=gettext_lazy("Instructions"),
        max_length=20_000,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text=gettext_lazy("What the model is told before every chat."),
    )
    provider = forms.ModelChoiceField(
        label=gettext_lazy("Provider"),
        queryset=Provider.objects.none(),
        required=False,
        empty_label=gettext_lazy("the built-in model"),
    )
    model = forms.CharField(
        label=gettext_lazy("Model"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("The provider's name for it; empty for the built-in model."),
    )
    temperature = forms.FloatField(
        label=gettext_lazy("Temperature"),
        min_value=0,
        max_value=2,
        required=False,
        help_text=gettext_lazy("0 is always the same, 2 is wild; empty leaves it to the model."),
    )
    max_tokens = forms.IntegerField(
        label=gettext_lazy("Longest answer"),
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text=gettext_lazy("In tokens; empty leaves it to the model."),
    )
    relevance = forms.ChoiceField(
        label=gettext_lazy("Filter"),
        choices=[],
        required=False,
        help_text=gettext_lazy("How strictly long chats are cut to what matters."),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Answers in"),
        choices=[("internal", gettext_lazy("internal")), ("external", gettext_lazy("external"))],
        widget=forms.CheckboxSelectMultiple,
        initial=["internal"],
    )
    starters = forms.CharField(
        label=gettext_lazy("Questions to begin with"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One to a line, at most six."),
    )

    def __init__(self, user: User, persona: Persona | None, data: QueryDict | None) -> None:
        self.user, self.persona = user, persona
        super().__init__(data, initial=_initial(persona))
        visible = Provider.objects.visible_to(user.pk)
        if persona and persona.is_shared:
            visible = visible.filter(is_shared=True)
        self.fields["provider"].queryset = visible  # type: ignore[attr-defined]
        modes = [("", gettext("the reader's own")), *relevance_modes()]
        self.fields["relevance"].choices = modes  # type: ignore[attr-defined]

    def clean_starters(self) -> list[str]:
        """Return the questions, one of each line."""
        lines = [line.strip() for line in self.cleaned_data["starters"].splitlines()]
        starters = [line for line in lines if line]
        if len(starters) > MOST_STARTERS or any(len(each) > LONGEST_STARTER for each in starters):
            raise forms.ValidationError(
                gettext("At most six questions, of at most 300 characters each.")
            )
        return starters

    def clean_scopes(self) -> list[str]:
        return [scope for scope in SCOPES if scope in self.cleaned_data["scopes"]]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("provider") and not cleaned.get("model"):
            self.add_error("model", gettext("Name the provider's model."))
        return cleaned

    def save(self) -> Persona | None:
        """Save what the form says and return the persona; None, with an error, if it can't be."""
        persona = self.persona or Persona(owner_id=self.user.pk)
        persona.slug = self.cleaned_data["slug"]
        content = {name: self.cleaned_data[name] for name in PersonaVersion.CONTENT}
        if not persona.store(**content):
            self.add_error("slug", gettext("There is a persona of this short name already."))
            return None
        return persona


def _initial(persona: Persona | None) -> dict[str, Any]:
    if persona is None or persona.current is None:
        return {}
    content = persona.current.content()
    return content | {"slug": persona.slug, "starters": "\n".join(content["starters"])}
