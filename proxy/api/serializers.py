"""Bodies of the proxy's own API, in and out."""

from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers

from proxy.common.web.drf import KnownFields, ModelSerializer, TextField
from proxy.errors import InvalidTarget
from proxy.models import Provider
from proxy.models.provider import LONGEST_URL, valid_name
from proxy.upstream import ssrf_guard
from proxy.upstream.target import refuse_keys, refuse_own_tokens, stored_base_of

# What is shown alone, and never made of a row.
Shape = serializers.Serializer[Any]
# What a header may hold, and no more than any provider's key is long.
_KEY = re.compile(r"[\x21-\x7e]{1,1000}")
# What may become of a message.
FATES = ("kept", "dropped", "joined", "protected")
MEANINGS = ("vectors", "words")


class ProviderSerializer(KnownFields, ModelSerializer[Provider]):
    """A stored provider. Its key comes in and never goes out."""

    name = TextField(max_length=40, validators=[valid_name])
    base_url = TextField(
        max_length=LONGEST_URL,
        help_text="Such as https://api.openai.com/v1, https://api.anthropic.com or "
        "https://generativelanguage.googleapis.com, without the endpoint. A query, such as "
        "?api-version=2024-10-21, is added to each request; it may hold no key.",
    )
    key = TextField(write_only=True, max_length=1000)
    key_hint = TextField(
        read_only=True, help_text="The last characters of the key, where it is long enough."
    )
    is_own = serializers.SerializerMethodField(
        help_text="Whether the caller has stored it; otherwise it is shared with everybody."
    )

    class Meta:
        model = Provider
        fields = [
            "id",
            "name",
            "base_url",
            "dialect",
            "key",
            "key_hint",
            "is_shared",
            "cost",
            "is_own",
            "created",
        ]
        read_only_fields = ["created"]
        # Whether the name is free is decided as it is taken.
        validators: list[Any] = []

    def get_is_own(self, provider: Provider) -> bool:
        return bool(provider.owner_id == self.context["request"].user.pk)

    def validate_base_url(self, text: str) -> str:
        """Return the URL in its one canonical spelling, if requests may go there at all."""
        try:
            base = stored_base_of(text)
            refuse_own_tokens(base.query)
            refuse_keys(base)
            ssrf_guard.check(base, self.context["request"].get_host())
        except InvalidTarget as error:
            raise serializers.ValidationError(error.message) from None
        url = str(base)
        if len(url) > LONGEST_URL:
            raise serializers.ValidationError("This URL is too long.")
        return url

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse the version at the end of a URL where callers' paths bring their own."""
        has_version = attrs.get("dialect") in (Provider.Dialect.GEMINI, Provider.Dialect.ANTHROPIC)
        if has_version and re.search(r"/v1[a-z]*(\?|$)", attrs["base_url"]):
            raise serializers.ValidationError({"base_url": ["Leave the version out at the end."]})
        return attrs

    def validate_key(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise serializers.ValidationError("A key has printable ASCII characters, no blanks.")
        try:
            refuse_own_tokens(key)
        except InvalidTarget as error:
            raise serializers.ValidationError(error.message) from None
        return key

    def to_representation(self, provider: Provider) -> dict[str, Any]:
        """Leave out what only the owner may know: the hint of the key."""
        fields = super().to_representation(provider)
        return fields if fields["is_own"] else fields | {"key_hint": ""}


class FaultSerializer(Shape):
    message = TextField()
    type = TextField()
    code = TextField()
    param = TextField(allow_null=True, help_text="What of the request is meant.")


class ProxyErrorSerializer(Shape):
    """What an error on the proxy looks like to OpenAI's clients."""

    error = FaultSerializer()


class GeminiFaultSerializer(Shape):
    code = serializers.IntegerField()
    message = TextField()
    status = TextField()


class GeminiErrorSerializer(Shape):
    """What an error on the proxy looks like to Gemini's clients."""

    error = GeminiFaultSerializer()


class AnthropicFaultSerializer(Shape):
    type = TextField()
    message = TextField()
    code = TextField()
    param = TextField(required=False, help_text="What of the request is meant.")


class AnthropicErrorSerializer(Shape):
    """What an error on the proxy looks like to Anthropic's clients."""

    type = serializers.ChoiceField(choices=["error"])
    error = AnthropicFaultSerializer()
    request_id = TextField()


class ContextTotalsSerializer(Shape):
    messages_before = serializers.IntegerField()
    messages_after = serializers.IntegerField()
    tokens_before = serializers.IntegerField()
    tokens_after = serializers.IntegerField()
    milliseconds = serializers.FloatField()


class DecisionSerializer(Shape):
    """What became of one message, and why."""

    index = serializers.IntegerField(help_text="The message's place, from 0.")
    role = TextField()
    fate = serializers.ChoiceField(choices=FATES)
    reason = TextField()
    score = serializers.FloatField(
        allow_null=True, help_text="Its exchange's share of the best exchange's score."
    )
    tokens = serializers.IntegerField()


class RecordedDecisionSerializer(DecisionSerializer):
    digest = TextField(help_text="SHA-256 of the message's bytes.")
    text = TextField(required=False, help_text="Where the key's records hold texts.")


class CostDecisionSerializer(Shape):
    """What the cost gate decided, where it was on; costs in tokens of input."""

    preset = TextField()
    mode = serializers.ChoiceField(
        choices=("full", "continue", "recall", "moved", "back", "cut", "fresh")
    )
    moved = serializers.IntegerField(help_text="Messages that stand before the question.")
    reason = TextField()
    estimated = serializers.IntegerField()
    estimated_whole = serializers.IntegerField()
    expected_cached = serializers.IntegerField()
    bank = serializers.IntegerField()


class SummarySerializer(Shape):
    mode = TextField()
    result = TextField()
    meaning = serializers.ChoiceField(
        choices=MEANINGS,
        allow_null=True,
        help_text="By what texts were compared: what they mean to the encoder, beside their words, "
        "or words alone; null where nothing was compared.",
    )
    totals = ContextTotalsSerializer()


class PreviewSerializer(SummarySerializer):
    """What the filter would do with a request."""

    short = serializers.BooleanField(
        help_text="Whether such a request is so short that it is forwarded whole all the same."
    )
    cost = CostDecisionSerializer(allow_null=True)
    messages = DecisionSerializer(many=True)


class DecisionRecordSerializer(SummarySerializer):
    """What the filter did with a request."""

    id = TextField()
    created = serializers.DateTimeField()
    expires = serializers.DateTimeField()
    key_id = TextField()
    model = TextField()
    messages = RecordedDecisionSerializer(many=True)
