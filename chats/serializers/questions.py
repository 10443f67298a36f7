"""Bodies of requests for answers. The wire's camelCase stops here."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from chats.answers.request import AnswerOptions, HistoryMessage, Question
from chats.models import Message
from personas.models import SCOPES
from proxy.common.web.drf import KnownFields, TextField

MOST_TEXTS = 200
LONGEST_KEY = 200
# What integrations call the text and the name of something given.
CONTENTS, NAMES = ("content", "text", "body"), ("title", "name", "source", "url", "id")


class AnswerAccess(Protocol):
    """What an answer needs to know of its caller's access."""

    @property
    def scopes(self) -> frozenset[str]: ...

    @property
    def relevance(self) -> str: ...

    @property
    def cost(self) -> str: ...

    @property
    def key_id(self) -> UUID | None: ...


class HistoryMessageField(KnownFields):
    """A message as a client writes it."""

    id = TextField(
        max_length=100, default="", allow_blank=True, help_text="The client's own, if any."
    )
    role = serializers.ChoiceField(choices=Message.Role.choices)
    content = TextField(trim_whitespace=False)

    def to_representation(self, instance: Any) -> Any:
        return instance


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"content": {"type": "string"}, "title": {"type": "string"}},
            },
        ]
    }
)
class ContextTextsField(serializers.Field[Any, Any, Any, Any]):
    """A text, or an object that has one and perhaps a title."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, str):
            data = {"content": data}
        if not isinstance(data, dict):
            raise serializers.ValidationError("Give a text, or an object with content.")
        content = next((data[name] for name in CONTENTS if isinstance(data.get(name), str)), "")
        if not content.strip():
            raise serializers.ValidationError("Its content must be a text.")
        metadata = data.get("metadata")
        sources = [data, metadata] if isinstance(metadata, dict) else [data]
        titles = (source[name] for name in NAMES for source in sources if source.get(name))
        title = next((str(title)[:200] for title in titles), "")
        # PostgreSQL takes no NUL, and UTF-8 no half of a pair of surrogates.
        return {"content": _clean(content), "title": _clean(title)}

    def to_representation(self, value: Any) -> Any:
        return value


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


@extend_schema_field({"type": "object", "properties": {"research": {"type": "boolean"}}})
class ToolsField(serializers.DictField):
    """Options such as {"research": true}; what is not known here is left to others."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        tools: dict[str, Any] = super().to_internal_value(data)
        if not isinstance(tools.get("research", False), bool):
            raise serializers.ValidationError({"research": ["It must be true or false."]})
        return tools


@extend_schema_serializer(component_name="ChatAnswer")
class AnswerSerializer(KnownFields):
    """What is asked, and how the answer is wanted, without a chat."""

    chat_history = HistoryMessageField(many=True, allow_empty=False)
    persona = TextField(max_length=40, default="", allow_blank=True, allow_null=True)
    scope = serializers.ChoiceField(choices=SCOPES, default="")
    voice = serializers.BooleanField(default=False, help_text="An answer to be read aloud.")
    fastContext = serializers.ListField(
        child=ContextTextsField(),
        default=list,
        max_length=MOST_TEXTS,
        help_text="Texts, or objects with `content` and `title`, that the answer should rest on.",
    )

    def validate_chat_history(self, messages: list[dict[str, str]]) -> list[HistoryMessage]:
        if len(messages) > settings.PROXY_MAX_MESSAGES:
            most = settings.PROXY_MAX_MESSAGES
            raise serializers.ValidationError(
                f"There are {len(messages)} messages; at most {most} are taken."
            )
        if messages[-1]["role"] != Message.Role.USER:
            raise serializers.ValidationError("The last message must be the user's.")
        ids = [each["id"] for each in messages if each["id"]]
        if len(ids) != len(set(ids)):
            raise serializers.ValidationError("Two messages have the same id.")
        return [HistoryMessage(**each) for each in messages]

    def options(self, access: AnswerAccess) -> AnswerOptions:
        """Return how the answer is wanted, by whom."""
        return options_of(self.validated_data, access)


@extend_schema_serializer(component_name="ChatGenerate")
class GenerateSerializer(AnswerSerializer):
    """What is asked in a chat."""

    tools = ToolsField(default=dict, help_text='`{"research": true}` plans and searches first.')
    stream = serializers.BooleanField(default=False)

    def question(
        self,
        access: AnswerAccess,
        *,
        chat_id: UUID | None,
        idempotency_key: str = "",
        username: str = "",
        source: str = "",
        title: str = "",
    ) -> Question:
        """Return the question of a sound body: the API's, the socket's and the page's."""
        return Question(
            history=self.validated_data["chat_history"],
            chat_id=chat_id,
            options=self.options(access),
            idempotency_key=idempotency_key,
            username=username,
            source=source,
            title=title,
        )


@extend_schema_serializer(component_name="ChatRegenerate")
class AgainSerializer(KnownFields):
    """Which message to answer once more, and how."""

    messageId = serializers.UUIDField(default=None, allow_null=True)
    content = TextField(default=None, trim_whitespace=False, help_text="The question's new words.")
    persona = TextField(max_length=40, default="", allow_blank=True)
    scope = serializers.ChoiceField(choices=SCOPES, default="")
    voice = serializers.BooleanField(default=False)
    fastContext = serializers.ListField(
        child=ContextTextsField(), default=list, max_length=MOST_TEXTS
    )
    tools = ToolsField(default=dict)
    stream = serializers.BooleanField(default=False)


@extend_schema_serializer(component_name="ChatContinue")
class ContinueSerializer(KnownFields):
    messageId = serializers.UUIDField(default=None, allow_null=True)
    stream = serializers.BooleanField(default=False)


class GenerateQuery(serializers.Serializer[Any]):
    """The query of a question in a chat."""

    chatId = TextField(default="", allow_blank=True)
    username = TextField(max_length=150, default="", allow_blank=True)
    source = TextField(  # type: ignore[assignment]
        max_length=100, default="", allow_blank=True
    )
    title = TextField(max_length=200, default="", allow_blank=True)


def options_of(fields: dict[str, Any], access: AnswerAccess) -> AnswerOptions:
    """Return how an answer is wanted, by whom."""
    return AnswerOptions(
        persona=fields.get("persona") or "",
        scope=fields.get("scope", ""),
        voice=fields.get("voice", False),
        research=fields.get("tools", {}).get("research", False),
        context_texts=tuple(fields.get("fastContext", ())),
        relevance=access.relevance,
        cost=access.cost,
        key_id=str(access.key_id or ""),
        scopes=access.scopes,
    )


def id_in(text: str) -> UUID | None:
    """Return the id that a text is; None where it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
