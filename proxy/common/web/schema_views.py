"""Views that only the OpenAPI schema knows, of endpoints beside Django's request handler."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.views import APIView


# Without a docstring, which would stand in the schema.
class SchemaOnlyView(APIView):
    is_schema_only = True


def operation(method: str, base: type[SchemaOnlyView] = SchemaOnlyView, **schema: Any) -> Any:
    """Return the view of one operation; `schema` is what `extend_schema` takes."""

    def endpoint(view: APIView, request: Any) -> None: ...

    decorated = extend_schema(**schema)(endpoint)
    return type(schema["operation_id"], (base,), {method: decorated})


def header(name: str, description: str = "", **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, location="header", description=description, **more)


def in_path(name: str, description: str = "", **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, location="path", description=description, **more)


def refusals(
    shape: type[serializers.Serializer[Any]] | dict[str, Any], described: dict[int, str]
) -> dict[int, OpenApiResponse]:
    """Return error answers of one shape, by status."""
    return {status: OpenApiResponse(shape, text) for status, text in described.items()}
