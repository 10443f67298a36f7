"""What the filter decided of each message of a request, kept for a while for who wants to see it.

Only a caller whose API key says so has records. Staff see that there is one, never what it holds.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import models


def oldest() -> datetime:
    """Return the time before which a record is no longer kept."""
    return datetime.now(UTC) - timedelta(days=settings.PROXY_RECORD_DAYS)


class DecisionRecordQuerySet(models.QuerySet["DecisionRecord"]):
    def of(self, user_id: int, key_id: str = "") -> DecisionRecordQuerySet:
        """The records of this user that are still kept; with a key's id, that key's own alone."""
        kept = self.filter(owner=user_id, created__gte=oldest())
        return kept.filter(key_id=key_id) if key_id else kept

    def expire(self, *, at_once: int = 1000) -> int:
        """Delete what is no longer kept, in bounded steps, and return how many records it was."""
        deleted = 0
        while ids := list(self.filter(created__lt=oldest()).values_list("pk")[:at_once]):
            deleted += self.filter(pk__in=[pk for (pk,) in ids]).delete()[0]
        return deleted


class DecisionRecord(models.Model):
    """The decisions on one request of an API key."""

    request_id = models.CharField(max_length=40, unique=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="decision_records"
    )
    key_id = models.CharField("API key", max_length=40)
    created = models.DateTimeField(db_index=True)
    model = models.CharField(max_length=200, blank=True)
    mode = models.CharField(max_length=20)
    result = models.CharField(max_length=20)
    meaning = models.CharField(
        max_length=20,
        blank=True,
        db_default="",
        help_text="By what texts were compared; empty: nothing was.",
    )
    messages_before = models.PositiveIntegerField()
    messages_after = models.PositiveIntegerField()
    tokens_before = models.PositiveIntegerField()
    tokens_after = models.PositiveIntegerField()
    milliseconds = models.FloatField()
    packed = models.BinaryField(help_text="The decision on each message: JSON, compressed.")

    objects = DecisionRecordQuerySet.as_manager()

    class Meta:
        permissions = [("read_decisionrecord", "Can read the texts of decision records")]

    def __str__(self) -> str:
        return self.request_id

    def decisions(self) -> list[dict[str, Any]]:
        """Return the decision on each message."""
        decisions: list[dict[str, Any]] = msgspec.json.decode(zlib.decompress(self.packed))
        return decisions

    def to_json(self) -> dict[str, Any]:
        """Return the record for JSON, its decisions still the JSON that they are kept as."""
        expires = self.created + timedelta(days=settings.PROXY_RECORD_DAYS)
        return {
            "id": self.request_id,
            "created": self.created,
            "expires": expires,
            "key_id": self.key_id,
            "model": self.model,
            "mode": self.mode,
            "result": self.result,
            "meaning": self.meaning or None,
            "totals": {
                "messages_before": self.messages_before,
                "messages_after": self.messages_after,
                "tokens_before": self.tokens_before,
                "tokens_after": self.tokens_after,
                "milliseconds": self.milliseconds,
            },
            "messages": msgspec.Raw(zlib.decompress(self.packed)),
        }
