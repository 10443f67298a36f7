"""The OpenAPI schema: all endpoints of every app, read from the serializers that they use.

Endpoints beside Django's request handler are described by views that only the schema knows, in the
`openapi` module of their app. What holds for all operations of a kind is added here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.generators import EndpointEnumerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry
from rest_framework import serializers

from alchemyst.errors import meaning_of

# (path, the route with its converters, method, view)
Endpoint = tuple[str, str, str, Callable[..., Any]]

_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}


def with_streaming_endpoints(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Add the endpoints that are no DRF views to those that drf-spectacular found."""
    # Here, since their decorators ask for this module's `Schema`.
    from chats.streaming.openapi import VIEWS as CHATS
    from proxy.gateway.openapi import VIEWS as PROXY

    enumerator = EndpointEnumerator(patterns=[])
    views = {route: view.as_view() for route, view in (CHATS | PROXY).items()}
    return endpoints + [
        (enumerator.get_path_from_regex(route), route, method, view)
        for route, view in views.items()
        for method in enumerator.get_allowed_methods(view)
    ]


class Schema(AutoSchema):
    """DRF's view of an operation, with the refusals that need no view to be there."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation is None:
            return None
        responses = operation["responses"]
        for status in self._common_refusals("requestBody" in operation):
            responses.setdefault(str(status), {"content": _ERROR, "description": ""})
        for status, response in responses.items():
            if status >= "400" and not response["description"]:
                response["description"] = meaning_of(int(status))
            if status in ("429", "503"):
                response["headers"] = {**response.get("headers", {}), **_RETRY_AFTER}
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _common_refusals(self, has_body: bool) -> list[int]:
        if getattr(self.view, "is_schema_only", False):
            return []
        return [406, 413, 415, 429, 503] if has_body else [406, 429, 503]


class ClosedBody(OpenApiSerializerExtension):
    """A body whose unknown fields are refused, and whose lists have bounds."""

    target_class = "proxy.common.web.drf.KnownFields"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        if not type(self.target).__doc__:
            # Or a base class would speak for it.
            schema.pop("description", None)
        if direction == "request":
            schema["additionalProperties"] = False
            for name, described in schema["properties"].items():
                _complete(described, self.target.fields[name])
        return schema


class ClosedKey(ClosedBody):
    """The body of an API key, which the accounts refuse by themselves."""

    target_class = "alchemyst.accounts.api.serializers.ApiKeySerializer"


def _complete(described: dict[str, Any], field: Any) -> None:
    """Add the bounds of a list; leave out a default that is none of the choices."""
    if isinstance(field, serializers.ListField | serializers.ListSerializer):
        max_length = getattr(field, "max_length", None)
        described |= {} if field.allow_empty else {"minItems": 1}
        described |= {} if max_length is None else {"maxItems": max_length}
    is_choice = isinstance(field, serializers.ChoiceField) and not field.allow_blank
    if is_choice and described.get("default") not in field.choices:
        described.pop("default", None)
