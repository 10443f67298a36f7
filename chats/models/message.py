"""Messages: what was said in a chat, in an order that nothing can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Q, Sum
from django.db.models.functions import Length
from django.utils import timezone
from uuid_utils.compat import uuid7

from proxy.common.access import User, id_of


@dataclass(frozen=True, slots=True)
class Alternatives:
    """A message among those that stand in its place on the chat's branches."""

    index: int
    """From 1."""

    count: int
    ids: list[Any]
    """Oldest first."""


class MessageQuerySet(models.QuerySet["Message"]):
    def of(self, user: User | int) -> MessageQuerySet:
        """The messages of the chats that `user` has, without the trash."""
        return self.filter(chat__owner=id_of(user), chat__deleted_at=None)

    def after(self, chat: Any, parents: set[Any]) -> MessageQuerySet:
        """The chat's messages that follow one of `parents` (None: that begin it), oldest first."""
        known = {parent for parent in parents if parent is not None}
        follows = Q(parent__in=known)
        if None in parents:
            follows |= Q(parent=None)
        return self.filter(follows, chat=chat).order_by("created", "pk")

    def characters(self) -> int:
        """How many characters the messages have together."""
        total: int | None = self.order_by().aggregate(total=Sum(Length("content")))["total"]
        return total or 0


class Message(models.Model):
    """What one side said. An answer exists from the moment that it was requested."""

    class Role(models.TextChoices):
        SYSTEM = "system"
        USER = "user"
        ASSISTANT = "assistant"

    class Fate(models.TextChoices):
        PINNED = "pinned"
        EXCLUDED = "excluded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chat = models.ForeignKey("Chat", models.CASCADE, related_name="messages")
    branch = models.ForeignKey("Branch", models.CASCADE, related_name="messages")
    position = models.PositiveIntegerField(help_text="From 0, along the way from the beginning.")
    parent = models.ForeignKey(
        "self", models.CASCADE, null=True, related_name="replies", help_text="What stands before."
    )
    role = models.CharField(max_length=20, choices=Role.choices)
    content = models.TextField(blank=True)
    created = models.DateTimeField(default=timezone.now)
    client_id = models.CharField(
        max_length=100, blank=True, help_text="The client's own id, so that sending twice is once."
    )
    persona_version = models.ForeignKey(
        "personas.PersonaVersion", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    model = models.CharField(max_length=200, blank=True, help_text="What gave the answer.")
    fate = models.CharField(
        max_length=20,
        blank=True,
        choices=Fate.choices,
        help_text="What its owner wants of the filter; empty leaves it to judge.",
    )
    metadata = models.JSONField(default=dict, blank=True)

    siblings: Alternatives
    """Where it was asked for (chats.reading.message_window)."""

    objects = MessageQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["chat", "parent"], name="message_alternatives"),
            models.Index(fields=["chat", "position"], name="message_places"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["branch", "position"], name="message_position"),
            models.UniqueConstraint(
                fields=["chat", "client_id"],
                condition=~Q(client_id=""),
                name="message_client_id_of_chat",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.position} of {self.chat_id}"

    def alternatives(self) -> MessageQuerySet:
        """What stands in this message's place on any branch, itself included, oldest first."""
        return Message.objects.after(self.chat_id, {self.parent_id})

    def set_fate(self, fate: str) -> None:
        """Overrule the filter on this message; an empty fate leaves it to judge."""
        self.fate = fate
        self.save(update_fields=["fate"])

    def copied(self) -> Message:
        """Return an unsaved copy, for another chat, that keeps words, time and who answered."""
        return Message(
            role=self.role,
            content=self.content,
            created=self.created,
            persona_version_id=self.persona_version_id,
            model=self.model,
            fate=self.fate,
            metadata=self.metadata,
        )
