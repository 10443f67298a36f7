"""Shares: a copy of one way through a chat, for whoever has its address."""

from __future__ import annotations

import secrets
from functools import partial

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from proxy.common.access import User, id_of

# 192 random bits: an address that nobody guesses.
TOKEN_BYTES = 24


class ShareQuerySet(models.QuerySet["Share"]):
    def of(self, user: User | int) -> ShareQuerySet:
        """The shares that `user` made and has not revoked."""
        return self.filter(owner=id_of(user), revoked_at=None)

    def open_now(self) -> ShareQuerySet:
        """The shares that whoever has the address may read."""
        alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(
            alive, revoked_at=None, is_blocked=False, owner__is_active=True, chat__deleted_at=None
        )


class Share(models.Model):
    """A snapshot: what is said in the chat afterwards is not in it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="shares")
    chat = models.ForeignKey("Chat", models.CASCADE, related_name="shares")
    token = models.CharField(
        max_length=64,
        unique=True,
        default=partial(secrets.token_urlsafe, TOKEN_BYTES),
        editable=False,
    )
    title = models.CharField(max_length=200, blank=True)
    messages = models.JSONField(default=list, help_text="role, content, speaker of each.")
    created = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_blocked = models.BooleanField(
        "blocked", default=False, help_text="Staff closed it: its address shows nothing."
    )

    objects = ShareQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["owner", "-created"], name="share_of_owner")]

    def __str__(self) -> str:
        return self.title or f"Share {self.pk}"
