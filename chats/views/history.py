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
from chats.views.chat import get_chat_from
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
        query = checked(HistoryQuery, request)
        matching = _wanted(Chat.objects.of(user_of(request)), query)
        chats, cursor = page(matching.with_state(), query["cursor"], query["limit"])
        if query["q"]:
            attach_matches(chats, Query.of(query["q"]))
        return Response(HistorySerializer({"chats": chats, "nextCursor": cursor}).data)


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
        query = checked(PageQuery, request)
        trash = Chat.objects.trash_of(user_of(request)).with_state()
        chats, cursor = page(trash, query["cursor"], query["limit"])
        return Response(TrashSerializer({"chats": chats, "nextCursor": cursor}).data)

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
        chat = get_chat_from(Chat.objects.trash_of(user_of(request)), chat_id)
        Chat.objects.filter(pk=chat.pk).empty()
        return Response(status=status.HTTP_204_NO_CONTENT)


def checked(serializer_class: type[PageQuery], request: Request) -> dict[str, Any]:
    """Return the parameters in a request's query; raises ValidationError for unsound ones."""
    serializer = serializer_class(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    fields: dict[str, Any] = serializer.validated_data
    return fields


def _wanted(chats: ChatQuerySet, query: dict[str, Any]) -> ChatQuerySet:
    chats = chats.filter(is_archived=query["archived"])
    if query["pinned"] is not None:
        chats = chats.filter(is_pinned=query["pinned"])
    if query["persona"]:
        chats = chats.filter(persona_version__persona__slug=query["persona"])
    if query["source"]:
        chats = chats.filter(source=query["source"])
    return chats.about(query["q"]) if query["q"] else chats
