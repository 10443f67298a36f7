"""Who may call: users, and the personal API keys that programs use in their place.

Whatever ends a token (a new password, an account switched off, a key revoked) is a change of one
of these rows, and each change sends a signal.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.contrib.auth import models as auth
from django.db import OperationalError, models, transaction
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from alchemyst.accounts.signals import access_changed, access_ended
from proxy.cost import policy
from proxy.relevance.modes import relevance_modes

SCOPES = ("proxy", "chat", "internal", "external")
RECORDS = [("scores", "digests and scores"), ("texts", "digests, scores and texts")]
THEMES = [("light", "light"), ("dark", "dark")]
KEY_PREFIX = "alk_"
# How much of a key is shown, to tell it from others: the prefix and six of its 43 characters.
SHOWN = len(KEY_PREFIX) + 6
# The last use is a hint for the owner, not worth a write for each request.
NOTED_EVERY = timedelta(minutes=1)
SIGNED_OUT = "alchemyst.accounts.sign_outs"
# Fields on which no token depends.
PASSIVE_FIELDS = frozenset({"last_login", "last_used"})

# How many keys one user may have.
MOST_KEYS = 100

Row = TypeVar("Row", bound=models.Model)


def all_scopes() -> list[str]:
    return list(SCOPES)


def cost_presets() -> list[tuple[str, str]]:
    return [(name, name) for name in policy.NAMES]


class InvalidatingQuerySet(models.QuerySet[Row]):
    """Rows that tokens depend on: after a change of many at once, every token is checked anew."""

    def update(self, **changes: Any) -> int:
        changed = super().update(**changes)
        if not PASSIVE_FIELDS.issuperset(changes):
            access_changed.send(self.model, user_id=None)
        return changed

    def delete(self) -> tuple[int, dict[str, int]]:
        deleted = super().delete()
        access_changed.send(self.model, user_id=None)
        return deleted


class UserQuerySet(InvalidatingQuerySet["User"]):
    def named(self, username: str) -> UserQuerySet:
        """The user of that name, whatever its case. As the constraint folds it, so do we here."""
        return self.alias(folded=Lower("username")).filter(folded=Lower(Value(username)))


class UserManager(auth.UserManager["User"]):
    use_in_migrations = False

    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get_queryset().named(username or "").get()


class User(auth.AbstractUser):
    """Somebody with an account. Usernames differ in more than case."""

    relevance = models.CharField(
        "relevance mode",
        max_length=20,
        blank=True,
        choices=relevance_modes,
        help_text="How strictly this user's history is filtered; empty means the operator's mode.",
    )
    cost = models.CharField(
        "cost preset",
        max_length=20,
        blank=True,
        choices=cost_presets,
        help_text="How the cost of requests is looked at; empty means as the provider or the "
        "operator has it.",
    )

    theme = models.CharField(
        max_length=10, blank=True, choices=THEMES, help_text="Empty means the system's."
    )
    language = models.CharField(max_length=10, blank=True, help_text="Empty means the browser's.")
    keep_chats_days = models.PositiveIntegerField(
        "days that chats are kept",
        null=True,
        blank=True,
        help_text="After their last message; empty means until they are deleted.",
    )
    scopes = models.JSONField(
        default=all_scopes,
        help_text="What this user's sign-ins and keys may do at most.",
    )
    blocked_at = models.DateTimeField(null=True, blank=True, editable=False)
    sign_outs = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often all sessions and tokens were ended."
    )

    objects: ClassVar[UserManager] = UserManager()

    class Meta(auth.AbstractUser.Meta):
        permissions = [("block_user", "Can block users and sign them out")]
        constraints = [
            models.UniqueConstraint(
                Lower("username"),
                name="accounts_user_unique_username",
                violation_error_message="This username is taken.",
            )
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        if not _is_passive(kwargs.get("update_fields")):
            access_changed.send(User, user_id=self.pk)

    def block(self) -> None:
        """Let nothing of this user's pass any more, in any process, within a second."""
        self.is_active, self.blocked_at = False, timezone.now()
        self.sign_out_everywhere()

    def unblock(self) -> None:
        """Let the user sign in again, and their API keys be used; what has ended stays so."""
        self.is_active, self.blocked_at = True, None
        self.save(update_fields=["is_active", "blocked_at"])

    @transaction.atomic
    def sign_out_everywhere(self) -> None:
        """End every session, token and answer under way; API keys have their own life."""
        self.sign_outs += 1
        self.save(update_fields=["is_active", "blocked_at", "sign_outs"])
        access_ended.send(User, user_id=self.pk)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Django's, which changes with the password, changed with each sign-out as well."""
        session_hash = super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]
        if not self.sign_outs:
            return str(session_hash)
        return salted_hmac(
            SIGNED_OUT, f"{session_hash}{self.sign_outs}", algorithm="sha256"
        ).hexdigest()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        user_id = self.pk
        deleted = super().delete(*args, **kwargs)
        access_changed.send(User, user_id=user_id)
        return deleted


class ApiKeyQuerySet(InvalidatingQuerySet["ApiKey"]):
    def of(self, user: User) -> ApiKeyQuerySet:
        """The keys that `user` may see. Every view starts here."""
        return self.filter(owner=user)

    def has_room_for(self, user: User) -> bool:
        """Whether `user` may have one more."""
        return self.of(user).count() < MOST_KEYS

    def alive(self, now: datetime) -> ApiKeyQuerySet:
        """The keys that are accepted at that time."""
        return self.filter(
            Q(expires_at=None) | Q(expires_at__gt=now), owner__is_active=True
        ).select_related("owner")

    def for_secret(self, text: str) -> ApiKeyQuerySet:
        """The key whose text this is."""
        return self.filter(digest=digest_of(text))


class ApiKey(models.Model):
    """A personal key. Its text is known to its owner alone; here there is only a digest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=SHOWN, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    relevance = models.CharField(
        "relevance mode",
        max_length=20,
        blank=True,
        choices=relevance_modes,
        help_text="How strictly this key's history is filtered; empty means the owner's mode.",
    )
    cost = models.CharField(
        "cost preset",
        max_length=20,
        blank=True,
        choices=cost_presets,
        help_text="How the cost of requests is looked at; empty means the owner's preset.",
    )
    allowed_models = models.JSONField(
        null=True,
        blank=True,
        help_text="Names, or beginnings of names with '*', of the models that this key may use on "
        "the proxy. Empty means any; an empty list means none.",
    )
    allowed_hosts = models.JSONField(
        null=True,
        blank=True,
        help_text="Hosts, with or without a port, or '*.example.com'; the built-in model's is "
        "'default'. Empty means any; an empty list means none.",
    )
    records = models.CharField(
        max_length=10,
        blank=True,
        choices=RECORDS,
        help_text="What is kept of the filter's decisions on this key's requests; empty: nothing.",
    )
    keeps_chats = models.BooleanField(
        default=False, help_text="This key's conversations through the proxy are kept as chats."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-created", "pk"]
        indexes = [models.Index(fields=["owner", "-created"], name="accounts_key_of_owner")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        if not _is_passive(kwargs.get("update_fields")):
            access_changed.send(ApiKey, user_id=self.owner_id)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        access_changed.send(ApiKey, user_id=self.owner_id)
        return deleted

    @classmethod
    def make(
        cls,
        owner: User,
        *,
        name: str,
        scopes: Iterable[str],
        relevance: str = "",
        cost: str = "",
        allowed_models: list[str] | None = None,
        allowed_hosts: list[str] | None = None,
        records: str = "",
        keeps_chats: bool = False,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Return a new key and its text, which can never be had again."""
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        key = cls.objects.create(
            owner=owner,
            name=name,
            prefix=text[:SHOWN],
            digest=digest_of(text),
            scopes=[scope for scope in SCOPES if scope in set(scopes)],
            relevance=relevance,
            cost=cost,
            allowed_models=allowed_models,
            allowed_hosts=allowed_hosts,
            records=records,
            keeps_chats=keeps_chats,
            expires_at=expires_at,
        )
        return key, text

    def note_use(self, now: datetime) -> None:
        """Record that the key was used, unless that was done within the last minute."""
        if self.last_used and now - self.last_used < NOTED_EVERY:
            return
        # A database too busy to record it is no reason to refuse the caller.
        with suppress(OperationalError):
            ApiKey.objects.filter(pk=self.pk).update(last_used=now)


def digest_of(text: str) -> str:
    """Return the digest by which a key is found.

    A key has 256 random bits, so there is nothing to guess: a slow, salted password hash would
    only make each check slow, and the key impossible to look up.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def _is_passive(fields: Iterable[str] | None) -> bool:
    return fields is not None and PASSIVE_FIELDS.issuperset(fields)
