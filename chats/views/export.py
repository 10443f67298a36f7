"""Chats as a file."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request

from chats.models import Chat
from chats.serializers.history import ExportQuery
from chats.transfer.exports import FORMS, streamed
from chats.views import TOKEN_OR_SESSION
from chats.views.chat import get_chat_from
from proxy.common.access import user_of
from proxy.common.web.drf import responses


class ExportView(GenericAPIView[Chat]):
    """One chat of the caller's, or all of them."""

    serializer_class = ExportQuery
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    @extend_schema(
        operation_id="export_chats",
        parameters=[ExportQuery],
        responses={
            **responses(400, 401, 403, 404, _200=OpenApiTypes.OBJECT),
            (200, "text/markdown"): OpenApiTypes.STR,
            (200, "application/jsonl"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Write chats into a file: our JSON (all branches), Markdown, or OpenAI's messages."""
        query = ExportQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        form = FORMS[query.validated_data["format"]]
        chats = Chat.objects.of(user_of(request))
        if chat_id := query.validated_data["chatId"]:
            chats = chats.filter(pk=get_chat_from(chats, chat_id).pk)
        name = f"chats-{timezone.now():%Y-%m-%d}.{form.suffix}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(
            streamed(chats, form), content_type=form.content_type, headers=headers
        )
