"""Bodies of the accounts API, in and out."""

from __future__ import annotations

from typing import Any, NoReturn

from django.contrib.auth.password_validation import validate_password
from django.core import exceptions as django
from django.utils import timezone
from rest_framework import serializers

from alchemyst.accounts.models import RECORDS, SCOPES, ApiKey, User, relevance_modes
from alchemyst.accounts.tokens import LONGEST

LONGEST_PASSWORD = 1024
LONGEST_PATTERN = 200
MOST_PATTERNS = 100


class ErrorSerializer(serializers.Serializer[Any]):
    """What every error under /api/v1/auth/ looks like."""

    message = serializers.CharField()
    error = serializers.CharField()
    details = serializers.DictField(required=False)


class PasswordField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            write_only=True, trim_whitespace=False, max_length=LONGEST_PASSWORD, **kwargs
        )


class RegisterSerializer(serializers.ModelSerializer[User]):
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
    username = serializers.CharField(max_length=150)
    password = PasswordField()


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=LONGEST, write_only=True)


class PairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class VerifySerializer(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=LONGEST, write_only=True)


class EmptySerializer(serializers.Serializer[Any]):
    pass


class ChoiceField(serializers.ChoiceField):
    """A choice whose refusal names what may be chosen, and does not repeat what was sent."""

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        if key == "invalid_choice":
            raise serializers.ValidationError(f"Choose from: {', '.join(self.choices)}.", key)
        super().fail(key, **kwargs)


class PatternsField(serializers.ListField):
    """Names, or beginnings of names followed by `*`; null for any name, an empty list for none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            child=serializers.RegexField(
                r"^[^*]*\*?$",
                max_length=LONGEST_PATTERN,
                error_messages={
                    "invalid": "Use a name, or the beginning of names followed by one '*'."
                },
            ),
            allow_null=True,
            required=False,
            default=None,
            max_length=MOST_PATTERNS,
            **kwargs,
        )


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    scopes = serializers.ListField(
        child=ChoiceField(choices=SCOPES), allow_empty=False, max_length=len(SCOPES)
    )
    relevance = ChoiceField(choices=relevance_modes(), allow_blank=True, required=False, default="")
    allowed_models = PatternsField(
        help_text="The models that the key may use on the proxy: names, or beginnings followed by "
        "`*`. Null permits any, an empty list none."
    )
    allowed_hosts = PatternsField(
        help_text="The same for providers' hosts; `default` is the built-in model's."
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
            "allowed_models",
            "allowed_hosts",
            "records",
            "expires_at",
            "created",
            "last_used",
        ]
        read_only_fields = ["created", "last_used"]

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Refuse unknown fields: a misspelt `expires_at` must not make a key for ever."""
        if isinstance(data, dict) and data.keys() - self.fields.keys():
            writable = [name for name, field in self.fields.items() if not field.read_only]
            said = f"Unknown field. There are: {', '.join(writable)}."
            raise serializers.ValidationError({"non_field_errors": [said]})
        return super().to_internal_value(data)

    def validate_allowed_hosts(self, hosts: list[str] | None) -> list[str] | None:
        """Return the hosts as the proxy writes them: in lower case."""
        return hosts and [host.lower() for host in hosts]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        expires_at = attrs.get("expires_at")
        if expires_at and expires_at <= timezone.now():
            raise serializers.ValidationError({"expires_at": ["This is in the past."]})
        return attrs


class NewApiKeySerializer(ApiKeySerializer):
    """A key on the one occasion when its text is shown."""

    key = serializers.CharField(read_only=True)

    class Meta(ApiKeySerializer.Meta):
        fields = ["key", *ApiKeySerializer.Meta.fields]
