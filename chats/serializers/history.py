"""Bodies of the history API, in and out. The wire's camelCase stops here."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from chats.models import Chat, Message
from chats.models.chat import LONGEST_TITLE
from chats.transfer.exports import FORMS
from personas.models import DEFAULT, SCOPES, Persona, PersonaVersion, relevance_modes
from proxy.common.web.drf import KnownFields, ModelSerializer, TextField

MOST_MESSAGES = 5_000
MOST_ON_A_PAGE = 100
MOST_IN_A_WINDOW = 1_000
WINDOW = 200


class ChatSerializer(ModelSerializer[Chat]):
    """A chat without its messages; from a queryset `with_state`."""

    persona = TextField(
        source="persona_version.persona.slug",
        default=None,
        allow_null=True,
        help_text="Who answers.",
    )
    personaVersion = serializers.IntegerField(
        source="persona_version.number", default=None, allow_null=True
    )
    pinned = serializers.BooleanField(source="is_pinned")
    archived = serializers.BooleanField(source="is_archived")
    hasOwnTitle = serializers.BooleanField(
        source="has_own_title", help_text="A person chose the title; it is never replaced."
    )
    isAnswering = serializers.BooleanField(
        source="is_answering", help_text="An answer is being written."
    )
    forkedFrom = serializers.UUIDField(
        source="forked_from_id",
        allow_null=True,
        help_text="The message that this chat was forked at.",
    )
    createdAt = serializers.DateTimeField(source="created")
    updatedAt = serializers.DateTimeField(source="updated", help_text="When the last message came.")

    class Meta:
        model = Chat
        fields = [
            "id",
            "title",
            "hasOwnTitle",
            "persona",
            "personaVersion",
            "relevance",
            "scope",
            "username",
            "source",
            "pinned",
            "archived",
            "isAnswering",
            "forkedFrom",
            "createdAt",
            "updatedAt",
        ]
        read_only_fields = fields


class PartSerializer(serializers.Serializer[Any]):
    text = TextField()
    match = serializers.BooleanField(help_text="This is what was searched for.")


class FoundMessageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="pk")
    role = TextField()
    position = serializers.IntegerField()
    snippet = PartSerializer(many=True, help_text="The surroundings of the first match.")


class MatchSerializer(serializers.Serializer[Any]):
    title = PartSerializer(many=True)
    message = FoundMessageSerializer(
        allow_null=True, help_text="The newest one that matches; null if only the title does."
    )


class ListedSerializer(ChatSerializer):
    """A chat in the history."""

    match = MatchSerializer(
        default=None, allow_null=True, help_text="Why a search found it; null without one."
    )

    class Meta(ChatSerializer.Meta):
        fields = [*ChatSerializer.Meta.fields, "match"]


class HistorySerializer(serializers.Serializer[Any]):
    chats = ListedSerializer(many=True)
    nextCursor = TextField(
        allow_null=True, help_text="Give it as `cursor` for the next page; null on the last one."
    )


class TrashedSerializer(ChatSerializer):
    deletedAt = serializers.DateTimeField(source="deleted_at")

    class Meta(ChatSerializer.Meta):
        fields = [*ChatSerializer.Meta.fields, "deletedAt"]


class TrashSerializer(serializers.Serializer[Any]):
    chats = TrashedSerializer(many=True)
    nextCursor = TextField(allow_null=True)


class AlternativesSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="This message's number among them, from 1.")
    count = serializers.IntegerField()
    ids = serializers.ListField(child=serializers.UUIDField(), help_text="Oldest first.")


class GenerationSerializer(serializers.Serializer[Any]):
    replaySessionID = serializers.UUIDField(source="pk")
    state = TextField(help_text="queued, streaming, complete, stopped, incomplete or failed.")
    error = TextField()


class MessageSerializer(ModelSerializer[Message]):
    """One message, as one of those that stand in its place."""

    persona = TextField(source="persona_version.persona.slug", default=None, allow_null=True)
    generation = GenerationSerializer(
        default=None,
        allow_null=True,
        help_text="How the answer came to be; null for what was not made here.",
    )
    fate = serializers.ChoiceField(choices=Message.Fate.choices, allow_blank=True)
    alternatives = AlternativesSerializer(
        source="siblings",
        help_text="What stands in this place on the branches: edited questions, other answers.",
    )
    createdAt = serializers.DateTimeField(source="created")

    class Meta:
        model = Message
        fields = [
            "id",
            "role",
            "content",
            "position",
            "persona",
            "model",
            "fate",
            "generation",
            "alternatives",
            "createdAt",
        ]
        read_only_fields = fields


class WindowSerializer(serializers.Serializer[Any]):
    messageCount = serializers.IntegerField(
        source="message_count", help_text="On the shown branch, window or not."
    )
    hasBefore = serializers.BooleanField(
        source="has_before", help_text="There are messages before these."
    )
    hasAfter = serializers.BooleanField(
        source="has_after", help_text="There are messages after these."
    )
    messages = MessageSerializer(many=True)


class FetchedSerializer(ChatSerializer, WindowSerializer):
    """A chat, and a window of its messages."""

    class Meta(ChatSerializer.Meta):
        fields = [
            *ChatSerializer.Meta.fields,
            "messageCount",
            "hasBefore",
            "hasAfter",
            "messages",
        ]


class PageQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ON_A_PAGE, default=30)
    cursor = TextField(max_length=300, default="", allow_blank=True)


class HistoryQuery(PageQuery):
    q = TextField(
        max_length=300,
        default="",
        allow_blank=True,
        help_text='Words of titles or messages, or their beginnings; "phrases"; -words that must '
        "not be there. A title or a message must have all of them.",
    )
    pinned = serializers.BooleanField(allow_null=True, default=None)
    archived = serializers.BooleanField(default=False)
    persona = TextField(max_length=40, default="", allow_blank=True)
    source = TextField(  # type: ignore[assignment]
        max_length=100, default="", allow_blank=True
    )


class ExportQuery(serializers.Serializer[Any]):
    format = serializers.ChoiceField(
        choices=list(FORMS),
        default="json",
        help_text="`json` is ours, with all branches; `markdown` and `openai` have the shown ones.",
    )
    chatId = serializers.UUIDField(default=None, help_text="All chats, unless one is named.")


class WindowQuery(serializers.Serializer[Any]):
    """Which messages of a long chat: the last ones, or those on one side of a position."""

    before = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=None)
    after = serializers.IntegerField(min_value=-1, max_value=2**31 - 1, default=None)
    limit = serializers.IntegerField(min_value=1, max_value=MOST_IN_A_WINDOW, default=WINDOW)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["before"] is not None and attrs["after"] is not None:
            raise serializers.ValidationError("Give 'before' or 'after', not both.")
        return attrs


@extend_schema_serializer(component_name="Said")
class HistoryMessageSerializer(KnownFields):
    """A message as a caller writes it."""

    id = TextField(
        max_length=100, source="client_id", default="", help_text="The caller's own, if any."
    )
    role = serializers.ChoiceField(choices=Message.Role.choices)
    content = TextField(allow_blank=True, trim_whitespace=False)


class NewChatSerializer(KnownFields):
    title = TextField(max_length=LONGEST_TITLE, default="", allow_blank=True)
    messages = HistoryMessageSerializer(many=True, max_length=MOST_MESSAGES)  # type: ignore[call-arg]
    persona = TextField(max_length=40, default=None)
    scope = serializers.ChoiceField(choices=SCOPES, default="internal")
    username = TextField(max_length=150, default="", allow_blank=True)
    source = TextField(  # type: ignore[assignment]
        max_length=100, default="", allow_blank=True
    )

    def validate_persona(self, slug: str | None) -> PersonaVersion | None:
        """Return the version that answers now of the persona that the caller means."""
        user = self.context["request"].user
        persona = Persona.objects.resolve(user, slug or DEFAULT)
        if persona is None and slug:
            known = sorted({persona.slug for persona in Persona.objects.visible_to(user)})
            raise serializers.ValidationError(f"Unknown. There are: {', '.join(known)}.")
        return persona.current if persona else None

    def validate_messages(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        ids = [message["client_id"] for message in messages if message["client_id"]]
        if len(ids) != len(set(ids)):
            raise serializers.ValidationError("Two messages have the same id.")
        return messages


class ForkSerializer(KnownFields):
    chatId = serializers.UUIDField()
    messageId = serializers.UUIDField(default=None)
    messageIndex = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, default=None, help_text="Its position, from 0."
    )
    title = TextField(max_length=LONGEST_TITLE, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs["messageId"] is None) == (attrs["messageIndex"] is None):
            raise serializers.ValidationError("Give one of 'messageId' and 'messageIndex'.")
        return attrs


class PinSerializer(KnownFields):
    pinned = serializers.BooleanField(
        allow_null=True, default=None, help_text="Without it the pin changes to its opposite."
    )


class ChangeSerializer(KnownFields):
    """What is left out stays as it is."""

    title = TextField(
        max_length=LONGEST_TITLE,
        required=False,
        allow_blank=True,
        help_text="Replaced by nothing but another of yours; empty lets a title be made again.",
    )
    pinned = serializers.BooleanField(source="is_pinned", required=False)
    archived = serializers.BooleanField(source="is_archived", required=False)
    relevance = serializers.ChoiceField(choices=[], required=False, allow_blank=True)
    messageId = serializers.UUIDField(
        required=False, help_text="Show, and continue on, the newest branch with this message."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["relevance"].choices = relevance_modes()  # type: ignore[attr-defined]


class FateSerializer(KnownFields):
    fate = serializers.ChoiceField(
        choices=Message.Fate.choices,
        allow_blank=True,
        help_text="`pinned` or `excluded` overrules the filter; empty leaves it to judge.",
    )


class EmptySerializer(KnownFields):
    """A body with nothing in it."""
