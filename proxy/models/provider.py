"""Providers under a short name: where to, what chats speak there, and by which key, kept sealed.

The proxy's path caches what it has read of them, and listens to every change of a row:
`post_save`, `post_delete`, and `providers_updated` for what Django sends no signal of.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.dispatch import Signal

from proxy.common import vault
from proxy.cost import policy
from proxy.upstream.target import Base, stored_base_of

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
# What else may stand first on the proxy's path: targets of our own, schemes, and the endpoints and
# versions of a path whose target was forgotten.
RESERVED = (
    "chat",
    "default",
    "http",
    "https",
    "messages",
    "models",
    "preview",
    "requests",
    "responses",
    "v1",
    "v1alpha",
    "v1beta",
)
LONGEST_URL = 500
# How many one user may store.
MOST_PROVIDERS = 100
# Of a key longer than this, its last characters are shown to tell it from others.
HINTED_FROM, HINT = 12, 4

providers_updated = Signal()
"""Rows were changed by one statement, without being read."""


def valid_name(name: str) -> None:
    """Raise ValidationError unless `name` may stand in a path as a provider's name."""
    if not NAME.fullmatch(name):
        raise ValidationError(
            "Use 1 to 40 lower-case letters, digits and hyphens, and begin with a letter."
        )
    if name in RESERVED:
        raise ValidationError(f"Choose another name; these have a meaning: {', '.join(RESERVED)}.")


class ProviderQuerySet(models.QuerySet["Provider"]):
    def of(self, user_id: int) -> ProviderQuerySet:
        """The providers that this user has stored."""
        return self.filter(owner=user_id)

    def has_room_for(self, user_id: int) -> bool:
        """Whether this user may store one more."""
        return self.of(user_id).count() < MOST_PROVIDERS

    def visible_to(self, user_id: int) -> ProviderQuerySet:
        """The providers that this user may use: their own and the shared ones."""
        return self.filter(Q(owner=user_id) | Q(is_shared=True))

    def resolve(self, user_id: int, name: str) -> Provider | None:
        """The provider that this user means by `name`: their own goes before a shared one."""
        so_called = self.visible_to(user_id).filter(name=name)
        return min(so_called, key=lambda provider: provider.owner_id != user_id, default=None)

    def update(self, **changes: Any) -> int:
        changed = super().update(**changes)
        providers_updated.send(self.model)
        return changed


class Provider(models.Model):
    """A provider that its owner, or everybody if it is shared, names in a path."""

    class Dialect(models.TextChoices):
        OPENAI = "openai", "OpenAI"
        RESPONSES = "responses", "OpenAI Responses"
        ANTHROPIC = "anthropic", "Anthropic"
        GEMINI = "gemini", "Gemini"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="providers")
    name = models.CharField(max_length=40, validators=[valid_name])
    base_url = models.CharField("base URL", max_length=LONGEST_URL)
    dialect = models.CharField(
        "chats speak",
        max_length=20,
        choices=Dialect.choices,
        default=Dialect.OPENAI,
        help_text="The dialect in which chats ask it; on the proxy it may be spoken to in any.",
    )
    sealed_key = models.TextField(editable=False)
    key_hint = models.CharField(max_length=HINT, blank=True, editable=False)
    is_shared = models.BooleanField(
        "shared", default=False, help_text="Everybody may use it, and nobody sees its key."
    )
    cost = models.CharField(
        "cost preset",
        max_length=20,
        blank=True,
        choices=[(name, name) for name in policy.NAMES],
        help_text="How the cost of requests is looked at, unless a key or user says otherwise.",
    )
    created = models.DateTimeField(auto_now_add=True)

    objects = ProviderQuerySet.as_manager()

    class Meta:
        ordering = ["name", "created", "pk"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                "owner",
                name="provider_name_of_owner",
                violation_error_message="Its owner has a provider of this name.",
            ),
            models.UniqueConstraint(
                Lower("name"),
                condition=Q(is_shared=True),
                name="provider_name_if_shared",
                violation_error_message="A provider of this name is shared already.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def sealed(cls, owner_id: int, *, key: str, **fields: Any) -> Provider:
        """Return a new provider, not saved yet."""
        provider = cls(owner_id=owner_id, **fields)
        provider.seal(key)
        return provider

    def take_name(self) -> bool:
        """Save a new provider; return False if its name is taken."""
        try:
            with transaction.atomic():
                self.save(force_insert=True)
        except IntegrityError:
            return False
        return True

    @property
    def base(self) -> Base:
        """Where it is, as the proxy's path asks it."""
        return stored_base_of(self.base_url)

    def seal(self, key: str) -> None:
        """Take a key: what is kept of it is encrypted, but for its last characters."""
        self.sealed_key = vault.sealed(key)
        self.key_hint = key[-HINT:] if len(key) > HINTED_FROM else ""
