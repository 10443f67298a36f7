"""Imports as clients get them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from chats.models import ImportJob
from proxy.common.web.drf import KnownFields, ModelSerializer, TextField


class SkippedSerializer(serializers.Serializer[Any]):
    title = TextField()
    reason = TextField()


class ImportSerializer(ModelSerializer[ImportJob]):
    """How far an import is, and what was left out."""

    stop = TextField(
        read_only=True, help_text="`keep` or `delete` once its owner wants it to end, or empty."
    )
    skips = SkippedSerializer(many=True, help_text="The first ones of what was left out, and why.")
    createdAt = serializers.DateTimeField(source="created")
    finishedAt = serializers.DateTimeField(source="finished", allow_null=True)

    class Meta:
        model = ImportJob
        fields = [
            "id",
            "state",
            "stop",
            "format",
            "size",
            "total",
            "processed",
            "imported",
            "messages",
            "skipped",
            "skips",
            "error",
            "createdAt",
            "finishedAt",
        ]
        read_only_fields = fields


class StopImportSerializer(KnownFields):
    keep = serializers.BooleanField(
        default=True,
        help_text="Whether the chats that were imported stay. One that went on since stays anyway.",
    )
