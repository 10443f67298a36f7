"""Personas: who answers in a chat, with what instructions, on which model.

What a persona is can change, what it was cannot: each change of its texts or settings makes a new
version, and an answer remembers the version that gave it.
"""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import IntegrityError, models, transaction
from django.db.models import Max, Q
from django.db.models.functions import Lower
from django.utils import timezone
from uuid_utils.compat import uuid7

from proxy.common.access import User
from proxy.relevance.modes import relevance_modes

SLUG = re.compile(r"[a-z][a-z0-9-]{0,39}")
# Pages beside those of single personas.
RESERVED = ("new",)
DEFAULT = "maya"
SCOPES = ("internal", "external")
# The drawn avatars, by name; pages have a picture for each.
AVATARS = ("sun", "moon", "leaf", "wave", "stone", "flame", "star", "key")

# How many one user may have, without those that were deleted; and what each may begin with.
MOST_PERSONAS = 200
MOST_STARTERS, LONGEST_STARTER = 6, 300


def valid_slug(slug: str) -> None:
    """Raise ValidationError unless `slug` may name a persona."""
    if not SLUG.fullmatch(slug):
        raise ValidationError(
            "Use 1 to 40 lower-case letters, digits and hyphens, and begin with a letter."
        )
    if slug in RESERVED:
        raise ValidationError(f"Choose another name; these have a meaning: {', '.join(RESERVED)}.")


class PersonaQuerySet(models.QuerySet["Persona"]):
    def of(self, user: User) -> PersonaQuerySet:
        """The personas that `user` owns and may change, without the deleted ones."""
        return self.filter(owner=user.pk, retired_at=None)

    def has_room_for(self, user: User) -> bool:
        """Whether `user` may have one more."""
        return self.of(user).count() < MOST_PERSONAS

    def shown_to(self, user: User) -> PersonaQuerySet:
        """The personas that `user` can see: their own, switched off or not, and the shared."""
        shared = Q(is_shared=True) if user.is_staff else Q(is_shared=True, is_active=True)
        return self.filter(Q(owner=user.pk) | shared, retired_at=None).select_related(
            "current", "current__provider"
        )

    def visible_to(self, user: User) -> PersonaQuerySet:
        """The personas that `user` may chat with: those that are active."""
        return self.shown_to(user).filter(is_active=True)

    def resolve(self, user: User, slug: str) -> Persona | None:
        """The persona that `user` means by `slug`: their own goes before a shared one."""
        return self.visible_to(user).called(user, slug)

    def called(self, user: User, slug: str) -> Persona | None:
        """The one among these that `slug` names for `user`, their own before a shared one."""
        so_called: PersonaQuerySet = self.filter(slug=slug)
        return min(so_called, key=lambda persona: persona.owner_id != user.pk, default=None)


class Persona(models.Model):
    """Somebody to chat with: its name in the API, and the version that answers now."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="personas",
        help_text="Empty for the personas that ship with the application.",
    )
    slug = models.CharField(max_length=40, validators=[valid_slug])
    is_shared = models.BooleanField("shared", default=False, help_text="Everybody may use it.")
    is_active = models.BooleanField("active", default=True)
    current = models.ForeignKey(
        "PersonaVersion",
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        help_text="The version that answers in new chats.",
    )
    created = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(
        null=True, editable=False, help_text="When it was deleted; its old chats go on with it."
    )

    objects = PersonaQuerySet.as_manager()

    class Meta:
        ordering = ["slug", "pk"]
        constraints = [
            models.UniqueConstraint(
                Lower("slug"),
                "owner",
                condition=Q(retired_at=None),
                name="persona_slug_of_owner",
                violation_error_message="You have a persona of this slug.",
            ),
            models.UniqueConstraint(
                Lower("slug"),
                condition=Q(is_shared=True, retired_at=None),
                name="persona_slug_if_shared",
                violation_error_message="A persona of this slug is shared already.",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def may_be_changed_by(self, user: User) -> bool:
        """Whether `user` owns it, or is staff and it is everybody's."""
        return self.owner_id == user.pk or (self.is_shared and user.is_staff)

    def store(self, **content: Any) -> bool:
        """Save it, and what it says as its version; return False if its slug is taken.

        A new persona answers in the scope `internal`, unless its content says otherwise.
        """
        try:
            with transaction.atomic():
                self.save()
                if self.current is None:
                    content = {"scopes": ["internal"]} | content
                self.revise(**content)
        except IntegrityError:
            return False
        return True

    def switch(self) -> None:
        """Switch it off, so that nobody can choose it, or on again."""
        self.is_active = not self.is_active
        self.save(update_fields=["is_active"])

    def retire(self) -> None:
        """Delete it for new chats. Its versions stay: what it answered, it answered."""
        self.retired_at = timezone.now()
        self.save(update_fields=["retired_at"])

    @transaction.atomic
    def revise(self, **changes: Any) -> PersonaVersion:
        """Make a version that differs from the current one in `changes`, and answer with it.

        Without a difference nothing is made, and the current version is returned.
        """
        Persona.objects.select_for_update().get(pk=self.pk)
        before = self.current
        after = PersonaVersion(persona=self, **((before.content() if before else {}) | changes))
        if before and before.content() == after.content():
            return before
        last = self.versions.aggregate(last=Max("number", default=0))["last"]
        after.number = last + 1
        after.full_clean(exclude=["persona"])
        after.save(force_insert=True)
        self.current = after
        self.save(update_fields=["current"])
        return after


class PersonaVersion(models.Model):
    """What a persona was at some time. Never changed once made."""

    CONTENT = (
        "name",
        "description",
        "avatar",
        "system_prompt",
        "provider",
        "model",
        "temperature",
        "max_tokens",
        "relevance",
        "scopes",
        "starters",
    )

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    persona = models.ForeignKey(Persona, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(editable=False)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    avatar = models.CharField(
        max_length=20,
        blank=True,
        choices=[(name, name) for name in AVATARS],
        help_text="The name of one of the drawn avatars.",
    )
    system_prompt = models.TextField(max_length=20_000, blank=True)
    provider = models.ForeignKey(
        "proxy.Provider",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who gives the answers; empty for the built-in model.",
    )
    model = models.CharField(
        max_length=200, blank=True, help_text="The provider's model; empty for the built-in one."
    )
    temperature = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(2)]
    )
    max_tokens = models.PositiveIntegerField(
        "length",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The most tokens that an answer may have; empty for the model's own limit.",
    )
    relevance = models.CharField(
        "relevance mode",
        max_length=20,
        blank=True,
        choices=relevance_modes,
        help_text="How strictly long chats are filtered; empty means the user's mode.",
    )
    scopes = models.JSONField(default=list, help_text="Where it answers: internal, external.")
    starters = models.JSONField(
        default=list, blank=True, help_text="Questions offered in an empty chat."
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["persona", "number"], name="persona_version_number")
        ]

    def __str__(self) -> str:
        return f"{self.name} (version {self.number})"

    def content(self) -> dict[str, Any]:
        """Return what the version says, without who it is."""
        return {name: getattr(self, name) for name in self.CONTENT}
