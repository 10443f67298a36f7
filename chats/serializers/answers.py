"""Answers as clients get them. The endpoints write them by themselves: these describe them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from chats.models import Generation
from proxy.common.web.drf import TextField

State = Generation.State


class ResultSerializer(serializers.Serializer[Any]):
    message = TextField()
    persona = TextField(allow_null=True)


class ToldSerializer(serializers.Serializer[Any]):
    model = TextField()
    usage = serializers.DictField(
        child=serializers.IntegerField(allow_null=True),
        help_text="The provider's own count of tokens; empty where it gave none.",
    )
    context = serializers.DictField(  # type: ignore[assignment]
        help_text="What the model was given, and why."
    )
    sources = serializers.ListField(child=serializers.DictField())
    timeTaken = serializers.IntegerField(help_text="Milliseconds.")


class AnswerMetadataSerializer(ToldSerializer):
    finishReason = TextField()


class ChatMetadataSerializer(ToldSerializer):
    chatId = serializers.UUIDField()
    title = TextField()
    replaySessionID = serializers.UUIDField()
    messageId = serializers.UUIDField()
    questionId = serializers.UUIDField(allow_null=True)
    persona = TextField(allow_null=True)
    state = serializers.ChoiceField(
        choices=[State.COMPLETE, State.STOPPED, State.INCOMPLETE, State.FAILED]
    )


class ChatAnswerSerializer(serializers.Serializer[Any]):
    """An answer that nothing is kept of."""

    result = ResultSerializer()
    metadata = AnswerMetadataSerializer()


class ChatGeneratedSerializer(serializers.Serializer[Any]):
    """An answer in a chat."""

    result = ResultSerializer()
    chatId = serializers.UUIDField()
    title = TextField()
    messageId = serializers.UUIDField()
    questionId = serializers.UUIDField(allow_null=True)
    replaySessionID = serializers.UUIDField()
    researchMode = serializers.BooleanField()
    stream = serializers.BooleanField()
    metadata = ChatMetadataSerializer()
