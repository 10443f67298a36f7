"""What the JSON views of every app share: who calls, what may be answered, strict bodies."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from django.db import models
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

Row = TypeVar("Row", bound=models.Model)

# The shape that errors have all over the JSON API.
ERROR = {"$ref": "#/components/schemas/Error"}


def responses(*errors: int, **success: Any) -> dict[int, Any]:
    """Return what an endpoint may answer, for the schema: `answers(404, _200=SomeSerializer)`."""
    return {int(name[1:]): body for name, body in success.items()} | dict.fromkeys(
        (*errors, 429), ERROR
    )


def caller_id(request: Request) -> int:
    """Return the id of who is calling a view that asks for a token."""
    return cast("int", request.user.pk)


class Conflict(ValidationError):
    """A request that is sound, but contradicts what is there."""

    status_code = status.HTTP_409_CONFLICT


class _OnlyText(serializers.CharField):
    """Refuses what is no text, where its library would write a number or a truth value down."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        return text


class TextField(_OnlyText):
    """A text; a number is none."""


class EmailField(_OnlyText, serializers.EmailField):
    """A mail address."""


class RegexField(_OnlyText, serializers.RegexField):
    """A text of a certain form."""


class ModelSerializer(serializers.ModelSerializer[Row]):
    """A serializer of rows whose fields of text are as strict as those that are written out."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: TextField,
        models.EmailField: EmailField,
        models.TextField: TextField,
    }


class KnownFields(serializers.Serializer[Any]):
    """A body whose unknown fields are refused: a misspelt one must not be lost in silence."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and data.keys() - self.fields.keys():
            writable = [name for name, field in self.fields.items() if not field.read_only]
            message = f"Unknown field. There are: {', '.join(writable)}."
            raise serializers.ValidationError({"non_field_errors": [message]})
        known: dict[str, Any] = super().to_internal_value(data)
        return known
