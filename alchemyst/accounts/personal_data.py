"""What is kept of a person in their account, for their export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alchemyst.accounts.api.serializers import ApiKeySerializer
from alchemyst.accounts.models import ApiKey, AuditEntry, User

_USER = (
    "username",
    "email",
    "first_name",
    "last_name",
    "date_joined",
    "last_login",
    "relevance",
    "cost",
    "theme",
    "language",
    "keep_chats_days",
)
_ENTRY = ("created", "actor_name", "action", "thing", "thing_name", "reason")


def account(user_id: int) -> Iterator[dict[str, Any]]:
    yield from User.objects.filter(pk=user_id).values(*_USER)


def api_keys(user_id: int) -> Iterator[dict[str, Any]]:
    """The keys, without what would open anything."""
    yield from ApiKey.objects.filter(owner=user_id).values(*ApiKeySerializer.Meta.fields).iterator()


def audit(user_id: int) -> Iterator[dict[str, Any]]:
    """What staff did with what is this person's, as far as the person may know of it."""
    yield from AuditEntry.objects.shown_to(user_id).values(*_ENTRY).iterator()
