"""Bodies of the accounts API, in and out."""

from __future__ import annotations

from typing import Any, NoReturn

from django.contrib.auth.password_validation import validate_password
from django.core import exceptions as django
from django.utils import timezone
from rest_framework import serializers

from alchemyst.accounts.auth.jwt import LONGEST
from alchemyst.accounts.models import RECORDS, SCOPES, ApiKey, User, cost_presets
from proxy.common import host_patterns
from proxy.common.web.drf import KnownFields, ModelSerializer, RegexField, TextField
from proxy.relevance.modes import relevance_modes

LONGEST_PASSWORD = 1024
LONGEST_ENTRY = 200
MOST_ENTRIES = 100


class ErrorSerializer(serializers.Serializer[Any]):
    """What every error of the API looks like, but for the proxy's."""

    message = TextField()
    error = TextField()
    details = serializers.DictField(required=False)


class PasswordField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            write_only=True, trim_whitespace=False, max_length=LONGEST_PASSWORD, **kwargs
        )


class RegisterSerializer(ModelSerializer[User]):
    password = PasswordField()

    class Meta:
        model = User
        fields = ["id", "username", "email", "password"]
        extra_kwargs = {
            # Whether the name is free is decided as it is taken.
            "username": {"validators": [User.username_validator]},
        }
        validators: list[Any] = []

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        stranger = User(username=attrs["username"], email=attrs.get("email", ""))
        try:
            validate_password(attrs["password"], stranger)
        except django.ValidationError as error:
            raise serializers.ValidationError({"password": error.messages})
        return attrs


class CredentialsSerializer(serializers.Serializer[Any]):
    username = TextField(max_length=150)
    password = PasswordField()


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = TextField(max_length=LONGEST, write_only=True)


class PairSerializer(serializers.Serializer[Any]):
    access = TextField()
    refresh = TextField()


class VerifySerializer(serializers.Serializer[Any]):
    token = TextField(max_length=LONGEST, write_only=True)


class EmptySerializer(serializers.Serializer[Any]):
    pass


class ChoiceField(serializers.ChoiceField):
    """A choice whose refusal names what may be chosen, and does not repeat what was sent."""

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        if key == "invalid_choice":
            raise serializers.ValidationError(f"Choose from: {', '.join(self.choices)}.", key)
        super().fail(key, **kwargs)


class ModelEntry(RegexField):
    """A model's name, or the beginning of names followed by `*`."""

    default_error_messages = {
        "invalid": "Use a name, or the beginning of names followed by one '*'."
    }

    def __init__(self) -> None:
        super().__init__(r"^[^*]*\*?$", max_length=LONGEST_ENTRY)


class HostEntry(TextField):
    """A host, in lower case as the proxy writes it: with or without a port, or all under a name."""

    default_error_messages = {
        "invalid": "Use a whole host such as api.openai.com or localhost:11434, or *.example.com "
        "for every host under example.com."
    }

    def __init__(self) -> None:
        super().__init__(max_length=LONGEST_ENTRY)

    def to_internal_value(self, data: Any) -> str:
        host = super().to_internal_value(data).lower()
        if not host_patterns.is_valid(host):
            self.fail("invalid")
        return host


class EntriesField(serializers.ListField):
    """What a key is limited to; null for no limit, an empty list for nothing at all."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            allow_null=True,
            required=False,
            default=None,
            max_length=MOST_ENTRIES,
            **kwargs,
        )


class ApiKeySerializer(KnownFields, ModelSerializer[ApiKey]):
    """The key of a program. A misspelt `expires_at` must not make one for ever."""

    scopes = serializers.ListField(
        child=ChoiceField(choices=SCOPES), allow_empty=False, max_length=len(SCOPES)
    )
    relevance = ChoiceField(choices=relevance_modes(), allow_blank=True, required=False, default="")
    cost = ChoiceField(
        choices=cost_presets(),
        allow_blank=True,
        required=False,
        default="",
        help_text="How the cost of requests is looked at where providers cache prompts; empty: as "
        "the user, the provider or the operator has it.",
    )
    allowed_models = EntriesField(
        child=ModelEntry(),
        help_text="The models that the key may use on the proxy: names, or beginnings followed by "
        "`*`. Null permits any, an empty list none.",
    )
    allowed_hosts = EntriesField(
        child=HostEntry(),
        help_text="The providers' hosts that it may use: whole, with or without a port, or "
        "`*.example.com`; `default` is the built-in model's. Null permits any, an empty list none.",
    )
    records = ChoiceField(
        choices=RECORDS,
        allow_blank=True,
        required=False,
        default="",
        help_text="What is kept of the filter's decisions on each message of the key's requests: "
        "nothing, digests and scores, or the texts too.",
    )

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "prefix",
            "scopes",
            "relevance",
            "cost",
            "allowed_models",
            "allowed_hosts",
            "records",
            "keeps_chats",
            "expires_at",
            "created",
            "last_used",
        ]
        read_only_fields = ["created", "last_used"]

    def validate_scopes(self, scopes: list[str]) -> list[str]:
        """Return the scopes; a key that there is may lose some, and gain none."""
        if self.instance and set(scopes) - set(self.instance.scopes):
            raise serializers.ValidationError("A key gains no scopes. Make another key.")
        return [scope for scope in SCOPES if scope in scopes]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        expires_at = attrs.get("expires_at")
        if expires_at and expires_at <= timezone.now():
            raise serializers.ValidationError({"expires_at": ["This is in the past."]})
        return attrs


class NewApiKeySerializer(ApiKeySerializer):
    """A key on the one occasion when its text is shown."""

    key = TextField(read_only=True)

    class Meta(ApiKeySerializer.Meta):
        fields = ["key", *ApiKeySerializer.Meta.fields]
