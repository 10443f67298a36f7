"""Bodies of the personas' API, in and out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from personas.models import (
    AVATARS,
    LONGEST_STARTER,
    MOST_STARTERS,
    SCOPES,
    Persona,
    PersonaVersion,
    valid_slug,
)
from proxy.common.web.drf import KnownFields, ModelSerializer, TextField
from proxy.models import Provider
from proxy.relevance.modes import relevance_modes


class PersonaVersionSerializer(ModelSerializer[PersonaVersion]):
    """What a persona was at some time."""

    provider = TextField(source="provider.name", default=None, allow_null=True)
    avatar = serializers.ChoiceField(choices=AVATARS, allow_blank=True)
    relevance = serializers.ChoiceField(choices=relevance_modes(), allow_blank=True)

    class Meta:
        model = PersonaVersion
        fields = ["number", *PersonaVersion.CONTENT, "created"]
        read_only_fields = fields


class PersonaSerializer(KnownFields):
    """A persona as it answers now. What is left out of a change stays as it is."""

    id = serializers.UUIDField(read_only=True)
    slug = TextField(max_length=40, validators=[valid_slug])
    name = TextField(max_length=80)
    description = TextField(max_length=300, allow_blank=True, required=False)
    avatar = serializers.ChoiceField(choices=AVATARS, allow_blank=True, required=False)
    system_prompt = TextField(
        max_length=20_000,
        allow_blank=True,
        required=False,
        trim_whitespace=False,
        help_text="Shown to its owner and to staff alone; empty for others.",
    )
    provider = TextField(
        max_length=40,
        allow_null=True,
        required=False,
        help_text="The name of a stored provider; null for the built-in model.",
    )
    model = TextField(
        max_length=200, allow_blank=True, required=False, help_text="The provider's model."
    )
    temperature = serializers.FloatField(min_value=0, max_value=2, allow_null=True, required=False)
    max_tokens = serializers.IntegerField(
        min_value=1, max_value=1_000_000, allow_null=True, required=False
    )
    relevance = serializers.ChoiceField(choices=[], allow_blank=True, required=False)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES), allow_empty=False, required=False
    )
    starters = serializers.ListField(
        child=TextField(max_length=LONGEST_STARTER),
        max_length=MOST_STARTERS,
        required=False,
    )
    is_shared = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)
    is_own = serializers.SerializerMethodField()
    version = serializers.IntegerField(source="current.number", read_only=True)
    created = serializers.DateTimeField(read_only=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["relevance"].choices = relevance_modes()  # type: ignore[attr-defined]

    def get_is_own(self, persona: Persona) -> bool:
        return bool(persona.owner_id == self.context["request"].user.pk)

    def validate_provider(self, name: str | None) -> Provider | None:
        """Return the provider that the caller means by the name."""
        if name is None:
            return None
        provider = Provider.objects.resolve(self.context["request"].user.pk, name)
        if provider is None:
            raise serializers.ValidationError("You have no stored provider of this name.")
        return provider

    def validate_scopes(self, scopes: list[str]) -> list[str]:
        return [scope for scope in SCOPES if scope in scopes]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a provider without a model, and what everybody may not be given."""
        before: PersonaVersion | None = self.instance.current if self.instance else None
        provider = attrs.get("provider", before.provider if before else None)
        model = attrs.get("model", before.model if before else "")
        if provider and not model:
            raise serializers.ValidationError({"model": ["Name the provider's model."]})
        is_shared = attrs.get("is_shared", self.instance.is_shared if self.instance else False)
        if is_shared and provider and not provider.is_shared:
            message = "A shared persona needs a shared provider, or everybody would use your key."
            raise serializers.ValidationError({"provider": [message]})
        return attrs

    def to_representation(self, persona: Persona) -> dict[str, Any]:
        user = self.context["request"].user
        body: dict[str, Any] = {"id": str(persona.pk), "slug": persona.slug}
        if persona.current:
            body |= persona.current.content()
            body["provider"] = persona.current.provider and persona.current.provider.name
        if not persona.may_be_changed_by(user):
            body["system_prompt"] = ""
        return body | {
            "is_shared": persona.is_shared,
            "is_active": persona.is_active,
            "is_own": self.get_is_own(persona),
            "version": persona.current.number if persona.current else 0,
            "created": self.fields["created"].to_representation(persona.created),
        }
