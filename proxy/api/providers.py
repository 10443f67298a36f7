"""The providers that callers store under a short name, to use it in the proxy's path."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.api.serializers import ProviderSerializer
from proxy.common.access import access_of_request
from proxy.common.web.drf import Conflict, caller_id, responses
from proxy.limits import allowlists
from proxy.models import Provider
from proxy.models.provider import MOST_PROVIDERS


def permitted_hosts(request: Request) -> allowlists.AllowList:
    """Return the hosts that the caller's API key is limited to, if it is."""
    return access_of_request(request).allowed_hosts


class ProvidersView(GenericAPIView[Provider]):
    """The providers that the caller may name in a path."""

    serializer_class = ProviderSerializer
    pagination_class = None
    required_scope = "proxy"

    @extend_schema(
        operation_id="providers", responses=responses(401, 403, _200=ProviderSerializer(many=True))
    )
    def get(self, request: Request) -> Response:
        """List the caller's own providers and the shared ones, without their keys."""
        visible = Provider.objects.visible_to(caller_id(request))
        return Response(self.get_serializer(visible, many=True).data)

    @extend_schema(
        operation_id="new_provider",
        responses=responses(400, 401, 403, 409, _201=ProviderSerializer),
    )
    def post(self, request: Request) -> Response:
        """Store a provider. Its key is encrypted, and never shown again."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields = serializer.validated_data
        if fields.get("is_shared") and not request.user.is_staff:
            raise PermissionDenied("Only staff can share a provider with everybody.")
        if not Provider.objects.has_room_for(caller_id(request)):
            raise Conflict({"errors": [f"You have {MOST_PROVIDERS} providers. Delete one first."]})

        provider = self._store(request, **fields)
        return Response(self.get_serializer(provider).data, status=status.HTTP_201_CREATED)

    def _store(self, request: Request, **fields: Any) -> Provider:
        provider = Provider.sealed(caller_id(request), **fields)
        # Else a key limited to some hosts could store another host under a name, and use that.
        allowlists.check_host(provider.base, permitted_hosts(request))
        if not provider.take_name():
            raise Conflict({"name": ["A provider of this name is stored already."]})
        return provider


class ProviderView(GenericAPIView[Provider]):
    """One provider that the caller may name in a path."""

    serializer_class = ProviderSerializer
    required_scope = "proxy"

    def _visible_provider(self, request: Request, provider_id: str) -> Provider:
        return get_object_or_404(Provider.objects.visible_to(caller_id(request)), pk=provider_id)

    @extend_schema(
        operation_id="provider", responses=responses(401, 403, 404, _200=ProviderSerializer)
    )
    def get(self, request: Request, provider_id: str) -> Response:
        """Show a provider, without its key."""
        return Response(self.get_serializer(self._visible_provider(request, provider_id)).data)

    @extend_schema(operation_id="delete_provider", responses=responses(401, 403, 404, _204=None))
    def delete(self, request: Request, provider_id: str) -> Response:
        """Delete a provider of the caller's: its name is unknown from now on."""
        provider = self._visible_provider(request, provider_id)
        if provider.owner_id != caller_id(request):
            raise PermissionDenied("This provider is shared with you; its owner can delete it.")
        provider.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
