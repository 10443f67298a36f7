"""What is told of answers. The endpoints write it by themselves: these describe it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from chats.models import Generation

State = Generation.State


class ResultSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    persona = serializers.CharField(allow_null=True)


class UsageCountsSerializer(serializers.Serializer[Any]):
    """The provider's own count of tokens; empty where it gave none."""

    promptTokens = serializers.IntegerField(required=False, allow_null=True)
    completionTokens = serializers.IntegerField(required=False, allow_null=True)
    cachedTokens = serializers.IntegerField(required=False, allow_null=True)


class SourceSerializer(serializers.Serializer[Any]):
    """A text that the answer rests on."""

    number = serializers.IntegerField(help_text="How the answer names it.")
    kind = serializers.ChoiceField(choices=["context", "chat"])
    title = serializers.CharField()
    score = serializers.FloatField()
    tokens = serializers.IntegerField()
    used = serializers.BooleanField()
    chatId = serializers.CharField(required=False)
    messageId = serializers.CharField(required=False)


class ContextSerializer(serializers.Serializer[Any]):
    """What the model was given, and why; empty where none was asked."""

    mode = serializers.CharField(required=False)
    filtering = serializers.CharField(required=False)
    messagesKept = serializers.IntegerField(required=False)
    messagesDropped = serializers.IntegerField(required=False)
    tokensBefore = serializers.IntegerField(required=False)
    tokensAfter = serializers.IntegerField(required=False)
    milliseconds = serializers.FloatField(required=False)
    given = SourceSerializer(many=True, required=False)
    sources = SourceSerializer(many=True, required=False)


class ToldSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    usage = UsageCountsSerializer()
    context = ContextSerializer(help_text="What the model was given, and why.")
    sources = SourceSerializer(many=True)
    timeTaken = serializers.IntegerField(help_text="Milliseconds.")


class AnswerMetadataSerializer(ToldSerializer):
    finishReason = serializers.CharField()


class ChatMetadataSerializer(ToldSerializer):
    chatId = serializers.UUIDField()
    title = serializers.CharField()
    replaySessionID = serializers.UUIDField()
    messageId = serializers.UUIDField()
    questionId = serializers.UUIDField(allow_null=True)
    persona = serializers.CharField(allow_null=True)
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
    title = serializers.CharField()
    messageId = serializers.UUIDField()
    questionId = serializers.UUIDField(allow_null=True)
    replaySessionID = serializers.UUIDField()
    researchMode = serializers.BooleanField()
    stream = serializers.BooleanField()
    metadata = ChatMetadataSerializer()
