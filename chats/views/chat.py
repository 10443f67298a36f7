"""One chat: read it, make it, fork it, change it, put it into the trash and take it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from chats.models import Chat, Message
from chats.models.chat import BeingAnswered, ChatQuerySet, TooLong
from chats.reading.message_window import add_alternatives, window
from chats.serializers.history import (
    ChangeSerializer,
    ChatSerializer,
    EmptySerializer,
    FateSerializer,
    FetchedSerializer,
    ForkSerializer,
    MessageSerializer,
    NewChatSerializer,
    PinSerializer,
    WindowQuery,
    WindowSerializer,
)
from chats.views import TOKEN_OR_SESSION
from proxy.common.access import access_of_request, user_of
from proxy.common.web.drf import Conflict, caller_id, responses

BEING_ANSWERED = "This chat is being answered. Wait, or stop the answer."
# What changes each field of a chat that a caller may change.
CHANGES: dict[str, Callable[[Chat, Any], None]] = {
    "title": Chat.rename,
    "is_pinned": Chat.pin,
    "is_archived": Chat.archive,
    "relevance": Chat.set_mode,
}


def get_chat_from(chats: ChatQuerySet, chat_id: Any) -> Chat:
    return get_object_or_404(chats.with_state(), pk=chat_id)


class ChatBase(GenericAPIView[Chat]):
    """What the views of a chat do alike."""

    serializer_class: Any = ChatSerializer
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    def get_chat(self, request: Request, chat_id: Any) -> Chat:
        """Return a chat of the caller's; anybody else's is not there."""
        return get_chat_from(Chat.objects.of(user_of(request)), chat_id)

    def validated_body(self, request: Request) -> dict[str, Any]:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields: dict[str, Any] = serializer.validated_data
        return fields

    def chat_response(
        self, request: Request, chat_id: Any, code: int = status.HTTP_200_OK
    ) -> Response:
        return Response(ChatSerializer(self.get_chat(request, chat_id)).data, status=code)


class FetchView(ChatBase):
    """A chat with its messages."""

    serializer_class = FetchedSerializer

    @extend_schema(
        operation_id="fetch",
        parameters=[WindowQuery],
        responses=responses(400, 401, 403, 404, _200=FetchedSerializer),
    )
    def get(self, request: Request, chat_id: str) -> Response:
        """Show a chat with the last messages of its shown branch, or those around a position."""
        query = WindowQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        chat = get_chat_from(Chat.objects.of(user_of(request)).select_related("branch"), chat_id)
        read = window(chat, **query.validated_data)
        return Response({**ChatSerializer(chat).data, **WindowSerializer(read).data})


class NewView(ChatBase):
    """A chat out of messages that the caller has."""

    serializer_class = NewChatSerializer

    @extend_schema(
        operation_id="new_chat", responses=responses(400, 401, 403, 413, _201=ChatSerializer)
    )
    def post(self, request: Request) -> Response:
        """Keep messages as a new chat. Nobody answers them."""
        fields = self.validated_body(request)
        messages = fields.pop("messages")
        if fields["scope"] not in access_of_request(request).scopes:
            raise PermissionDenied(f"This key lacks the scope '{fields['scope']}'.")
        with transaction.atomic():
            chat = Chat.objects.create(
                owner_id=caller_id(request),
                persona_version=fields.pop("persona"),
                has_own_title=bool(fields["title"]),
                **fields,
            )
            chat.bulk_append(Message(**each) for each in messages)
        return self.chat_response(request, chat.pk, status.HTTP_201_CREATED)


class ForkView(ChatBase):
    """A copy of a chat, up to one of its messages."""

    serializer_class = ForkSerializer

    @extend_schema(
        operation_id="fork", responses=responses(400, 401, 403, 404, 409, _201=ChatSerializer)
    )
    def post(self, request: Request) -> Response:
        """Copy a chat, up to and including a message, into a new one. The original stays."""
        fields = self.validated_body(request)
        chat = self.get_chat(request, fields["chatId"])
        if fields["messageId"] is not None:
            at = get_object_or_404(chat.messages, pk=fields["messageId"])
        else:
            index = fields["messageIndex"]
            at = get_object_or_404(chat.messages_on(first=index, end=index + 1))
        try:
            fork = chat.fork(at=at, title=fields["title"])
        except BeingAnswered:
            raise Conflict({"chatId": [BEING_ANSWERED]})
        except TooLong:
            raise ValidationError(
                {"chatId": ["So much can't be copied. Fork at an earlier message."]}
            )
        return self.chat_response(request, fork.pk, status.HTTP_201_CREATED)


class ChatView(ChatBase):
    """One chat of the caller's."""

    serializer_class = ChangeSerializer

    @extend_schema(
        operation_id="change_chat",
        responses=responses(400, 401, 403, 404, 409, _200=ChatSerializer),
    )
    def patch(self, request: Request, chat_id: str) -> Response:
        """Change a chat. Its place in the history stays, but for the pin."""
        chat = self.get_chat(request, chat_id)
        changes = self.validated_body(request)
        with transaction.atomic():
            if "messageId" in changes:
                self.show(chat, changes.pop("messageId"))
            for name, value in changes.items():
                CHANGES[name](chat, value)
        return self.chat_response(request, chat_id)

    def show(self, chat: Chat, message_id: UUID) -> None:
        try:
            chat.show_message(get_object_or_404(chat.messages, pk=message_id))
        except BeingAnswered:
            raise Conflict({"messageId": [BEING_ANSWERED]})

    @extend_schema(
        operation_id="delete_chat", request=None, responses=responses(401, 403, 404, _204=None)
    )
    def delete(self, request: Request, chat_id: str) -> Response:
        """Put a chat into the trash, from where it can be restored for 30 days."""
        self.get_chat(request, chat_id).move_to_trash()
        return Response(status=status.HTTP_204_NO_CONTENT)


class PinView(ChatBase):
    """The pin of a chat."""

    serializer_class = PinSerializer

    @extend_schema(operation_id="pin", responses=responses(400, 401, 403, 404, _200=ChatSerializer))
    def put(self, request: Request, chat_id: str) -> Response:
        """Pin a chat or take the pin off; without a body, whichever it is not."""
        self.get_chat(request, chat_id).pin(self.validated_body(request)["pinned"])
        return self.chat_response(request, chat_id)


class RestoreView(ChatBase):
    """A chat out of the trash."""

    serializer_class = EmptySerializer

    @extend_schema(
        operation_id="restore_chat",
        request=None,
        responses=responses(401, 403, 404, _200=ChatSerializer),
    )
    def post(self, request: Request, chat_id: str) -> Response:
        """Take a chat out of the trash."""
        get_chat_from(Chat.objects.trash_of(user_of(request)), chat_id).restore()
        return self.chat_response(request, chat_id)


class MessageView(ChatBase):
    """One message of a chat."""

    serializer_class = FateSerializer

    @extend_schema(
        operation_id="change_message",
        responses=responses(400, 401, 403, 404, _200=MessageSerializer),
    )
    def patch(self, request: Request, chat_id: str, message_id: str) -> Response:
        """Pin a message to all that the model is given, or exclude it from that."""
        chat = self.get_chat(request, chat_id)
        fields = self.validated_body(request)
        messages = chat.messages.select_related("generation", "persona_version__persona")
        message = get_object_or_404(messages, pk=message_id)
        message.set_fate(fields["fate"])
        add_alternatives(chat, [message])
        return Response(MessageSerializer(message).data)
