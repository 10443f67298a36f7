"""The caller's chats as a list, and the trash."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from chats.models import Chat
from chats.models.chat import ChatQuerySet
from chats.reading.cursor import page
from chats.reading.search_matches import attach_matches
from chats.search.query import Query
from chats.serializers.history import (
    HistoryQuery,
    HistorySerializer,
    PageQuery,
    TrashSerializer,
)
from chats.views import TOKEN_OR_SESSION
from chats.views.chat import found_among
from proxy.common.access import user_of
from proxy.common.web.drf import responses


class HistoryView(GenericAPIView[Chat]):
    """The caller's chats."""

    serializer_class = HistorySerializer
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    @extend_schema(
        operation_id="history",
        parameters=[HistoryQuery],
        responses=responses(400, 401, 403, _200=HistorySerializer),
    )
    def get(self, request: Request) -> Response:
        """List the caller's chats without messages: pinned first, then newest first."""
        asked = checked(HistoryQuery, request)
        chats = _wanted(Chat.objects.of(user_of(request)), asked)
        found, cursor = page(chats.with_state(), asked["cursor"], asked["limit"])
        if asked["q"]:
            attach_matches(found, Query.of(asked["q"]))
        return Response(HistorySerializer({"chats": found, "nextCursor": cursor}).data)


class TrashView(GenericAPIView[Chat]):
    """The chats that the caller deleted within the last 30 days."""

    serializer_class = TrashSerializer
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    @extend_schema(
        operation_id="trash",
        parameters=[PageQuery],
        responses=responses(400, 401, 403, _200=TrashSerializer),
    )
    def get(self, request: Request) -> Response:
        """List the deleted chats that can be restored."""
        asked = checked(PageQuery, request)
        chats = Chat.objects.trash_of(user_of(request)).with_state()
        found, cursor = page(chats, asked["cursor"], asked["limit"])
        return Response(TrashSerializer({"chats": found, "nextCursor": cursor}).data)

    @extend_schema(operation_id="empty_trash", responses=responses(401, 403, _204=None))
    def delete(self, request: Request) -> Response:
        """Delete for good what is in the trash."""
        Chat.objects.trash_of(user_of(request)).empty()
        return Response(status=status.HTTP_204_NO_CONTENT)


class TrashedView(GenericAPIView[Chat]):
    """One chat in the trash."""

    serializer_class = TrashSerializer
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    @extend_schema(operation_id="delete_for_good", responses=responses(401, 403, 404, _204=None))
    def delete(self, request: Request, chat_id: str) -> Response:
        """Delete a chat in the trash for good."""
        chat = found_among(Chat.objects.trash_of(user_of(request)), chat_id)
        Chat.objects.filter(pk=chat.pk).empty()
        return Response(status=status.HTTP_204_NO_CONTENT)


def checked(query: type[PageQuery], request: Request) -> dict[str, Any]:
    """Return the parameters in a request's query; raises ValidationError for unsound ones."""
    serializer = query(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    asked: dict[str, Any] = serializer.validated_data
    return asked


def _wanted(chats: ChatQuerySet, asked: dict[str, Any]) -> ChatQuerySet:
    chats = chats.filter(is_archived=asked["archived"])
    if asked["pinned"] is not None:
        chats = chats.filter(is_pinned=asked["pinned"])
    if asked["persona"]:
        chats = chats.filter(persona_version__persona__slug=asked["persona"])
    if asked["source"]:
        chats = chats.filter(source=asked["source"])
    return chats.about(asked["q"]) if asked["q"] else chats
