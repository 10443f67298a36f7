"""What goes away by itself: emptied trash, chats that are kept no longer, old event logs.

Everything is done in small batches, each of its own, so that others get their turn, and what was
cut off goes on the next time. Two at once do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.utils import timezone

from chats.models import Branch, Chat, Event, Generation, ImportJob, Message
from chats.models.chat import TRASH
from proxy.models import TextVector

AT_ONCE = 500


def empty_trash() -> int:
    """Delete the chats that nobody can restore any more, with all that belongs to them."""
    gone = 0
    while chats := list(Chat.objects.expired_trash().order_by("deleted_at")[:AT_ONCE]):
        for chat in chats:
            purge(chat)
        gone += len(chats)
    return gone


def purge(chat: Chat) -> None:
    """Delete a chat and all that belongs to it, however much that is.

    Forks and what was copied stay. Django's own cascade would read all of it into memory.
    """
    _delete_all(Event.objects.filter(generation__chat=chat))
    Generation.objects.filter(chat=chat).delete()
    # From the end: what follows a message goes before it.
    for batch in _batches(Message.objects.filter(chat=chat).order_by("-position")):
        texts = Message.objects.filter(pk__in=batch).values_list("content", flat=True)
        TextVector.objects.forget(chat.owner_id, texts)
        with transaction.atomic():
            Chat.objects.filter(forked_from__in=batch).update(forked_from=None)
            _delete(Message.objects.filter(pk__in=batch))
    with transaction.atomic():
        Chat.objects.filter(pk=chat.pk).update(branch=None)
        _delete(Branch.objects.filter(chat=chat))
        # What else there is of a chat is little, such as its shares: Django knows of all of it.
        Chat.objects.filter(pk=chat.pk).delete()


def expire_chats() -> int:
    """Put chats into the trash that were kept as long as their owner, or the operator, wants.

    The time runs from the last message. A pin keeps a chat.
    """
    users = get_user_model().objects.exclude(keep_chats_days=None)
    periods = set(users.values_list("keep_chats_days", flat=True).distinct())
    gone = sum(_expired(owner__keep_chats_days=days, days=days) for days in periods if days)
    if settings.CHAT_KEEP_DAYS:
        gone += _expired(owner__keep_chats_days=None, days=settings.CHAT_KEEP_DAYS)
    return gone


def _expired(*, days: float, **owners: Any) -> int:
    before = timezone.now() - timedelta(days=days)
    old = Chat.objects.filter(deleted_at=None, is_pinned=False, updated__lt=before, **owners)
    gone = 0
    while batch := list(old.values_list("pk", flat=True)[:AT_ONCE]):
        gone += Chat.objects.filter(pk__in=batch).move_to_trash()
    return gone


def expire_events() -> int:
    """Delete the steps of answers that ended long ago; their ends stay, and can be replayed."""
    before = timezone.now() - timedelta(hours=settings.CHAT_EVENT_HOURS)
    old = Generation.objects.filter(has_steps=True, finished__lt=before).order_by("finished")
    gone = 0
    for batch in _batches(old):
        gone += _delete_all(Event.objects.filter(generation__in=batch, type__in=Event.STEPS))
        Generation.objects.filter(pk__in=batch).update(has_steps=False)
    return gone


def expire_imports() -> int:
    """Forget imports that ended long ago."""
    gone, _ = ImportJob.objects.filter(finished__lt=timezone.now() - TRASH).delete()
    return gone


def _delete_all(rows: models.QuerySet[Any]) -> int:
    gone = 0
    for batch in _batches(rows.order_by("pk")):
        gone += len(batch)
        _delete(rows.model._default_manager.filter(pk__in=batch))
    return gone


def _batches(rows: models.QuerySet[Any]) -> Iterator[list[Any]]:
    """Yield primary keys, until none is left; who takes them deletes their rows."""
    while batch := list(rows.values_list("pk", flat=True)[:AT_ONCE]):
        yield batch


def _delete(rows: models.QuerySet[Any]) -> None:
    """Delete rows whose dependents are gone, without asking for them."""
    rows._raw_delete(rows.db)
