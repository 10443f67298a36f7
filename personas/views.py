"""The personas' API: list, make, change, delete, and list earlier versions."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from personas.models import MOST_PERSONAS, Persona, PersonaVersion
from personas.serializers import PersonaSerializer, PersonaVersionSerializer
from proxy.common.access import user_of
from proxy.common.web.drf import Conflict, responses

MOST_VERSIONS = 100


class PersonasView(GenericAPIView[Persona]):
    """The personas that the caller can see."""

    serializer_class = PersonaSerializer
    pagination_class = None
    required_scope = "chat"

    @extend_schema(
        operation_id="personas", responses=responses(401, 403, _200=PersonaSerializer(many=True))
    )
    def get(self, request: Request) -> Response:
        """List the caller's own personas and the shared ones."""
        visible = Persona.objects.shown_to(user_of(request))
        return Response(self.get_serializer(visible, many=True).data)

    @extend_schema(
        operation_id="new_persona", responses=responses(400, 401, 403, 409, _201=PersonaSerializer)
    )
    def post(self, request: Request) -> Response:
        """Make a persona of the caller's own; staff may share it with everybody."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields = serializer.validated_data
        refuse_sharing(request, fields)
        if not Persona.objects.has_room_for(user_of(request)):
            raise Conflict({"errors": [f"You have {MOST_PERSONAS} personas. Delete one first."]})

        persona = store(Persona(owner_id=request.user.pk), fields)
        return Response(self.get_serializer(persona).data, status=status.HTTP_201_CREATED)


class OnePersona(GenericAPIView[Persona]):
    """Finds the persona that a slug names for the caller."""

    serializer_class = PersonaSerializer
    required_scope = "chat"

    def get_persona(self, request: Request, slug: str) -> Persona:
        persona = Persona.objects.shown_to(user_of(request)).called(user_of(request), slug)
        if persona is None:
            raise Http404
        return persona

    def get_changeable(self, request: Request, slug: str) -> Persona:
        persona = self.get_persona(request, slug)
        if not persona.may_be_changed_by(user_of(request)):
            raise PermissionDenied("This persona is shared with you; staff can change it.")
        return persona


class PersonaView(OnePersona):
    """One persona that the caller can see."""

    @extend_schema(
        operation_id="persona", responses=responses(401, 403, 404, _200=PersonaSerializer)
    )
    def get(self, request: Request, slug: str) -> Response:
        """Show a persona."""
        return Response(self.get_serializer(self.get_persona(request, slug)).data)

    @extend_schema(
        operation_id="change_persona",
        responses=responses(400, 401, 403, 404, 409, _200=PersonaSerializer),
    )
    def patch(self, request: Request, slug: str) -> Response:
        """Change a persona: running chats keep the version that they began with."""
        persona = self.get_changeable(request, slug)
        serializer = self.get_serializer(persona, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        refuse_sharing(request, serializer.validated_data)
        persona = store(persona, serializer.validated_data)
        return Response(self.get_serializer(persona).data)

    @extend_schema(operation_id="delete_persona", responses=responses(401, 403, 404, _204=None))
    def delete(self, request: Request, slug: str) -> Response:
        """Delete a persona. Chats that it answered in keep it."""
        self.get_changeable(request, slug).retire()
        return Response(status=status.HTTP_204_NO_CONTENT)


class VersionsView(OnePersona):
    """What a persona was before."""

    @extend_schema(
        operation_id="persona_versions",
        responses=responses(401, 403, 404, _200=PersonaVersionSerializer(many=True)),
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the versions of a persona, newest first, for who may change it."""
        persona = self.get_changeable(request, slug)
        versions = persona.versions.select_related("provider")[:MOST_VERSIONS]
        return Response(PersonaVersionSerializer(versions, many=True).data)


def refuse_sharing(request: Request, fields: dict[str, Any]) -> None:
    """Raise PermissionDenied where somebody who is not staff would share a persona."""
    if fields.get("is_shared") and not request.user.is_staff:
        raise PermissionDenied("Only staff can share a persona with everybody.")


def store(persona: Persona, fields: dict[str, Any]) -> Persona:
    """Save the fields of a persona, and return it; raises Conflict if its slug is taken."""
    content = {name: fields[name] for name in PersonaVersion.CONTENT if name in fields}
    for name in ("slug", "is_shared", "is_active"):
        setattr(persona, name, fields.get(name, getattr(persona, name)))
    if not persona.store(**content):
        raise Conflict({"slug": ["A persona of this slug is there already."]})
    return persona
