"""What staff did, and to whom: written once, never changed."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Model
from django.utils import timezone


class AppendOnly(Exception):
    """Somebody wanted to change or delete what is kept for good."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def shown_to(self, user_id: int) -> AuditQuerySet:
        """What this user may know of: staff reading or taking what is theirs."""
        return self.filter(about=user_id, is_shown=True)

    def update(self, **changes: Any) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly


class AuditEntry(models.Model):
    """One deed. It names people and things by number and by name, and outlives both."""

    created = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        help_text="Empty: a command on the server.",
    )
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    about = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        help_text="Whom it concerns.",
    )
    thing = models.CharField(max_length=60, blank=True, help_text="What kind of thing.")
    thing_id = models.CharField(max_length=60, blank=True)
    thing_name = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    is_shown = models.BooleanField("shown to the user", default=False)

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["about", "-created"], name="audit_about")]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} {self.thing_name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs | {"force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly

    @classmethod
    def note(
        cls,
        actor: Any,
        action: str,
        thing: Model | None = None,
        *,
        about: Any = None,
        reason: str = "",
        is_shown: bool = False,
    ) -> AuditEntry:
        """Record that `actor` (None: a command) did `action` to `thing`, which is `about`'s."""
        return cls.objects.create(
            actor_id=getattr(actor, "pk", None),
            actor_name=str(actor or "command line")[:150],
            action=action[:60],
            about_id=getattr(about, "pk", about),
            thing=str(thing._meta.verbose_name)[:60] if thing else "",
            thing_id=str(thing.pk)[:60] if thing else "",
            thing_name=str(getattr(thing, "audit_name", thing))[:200] if thing else "",
            reason=reason[:500],
            is_shown=is_shown,
        )
