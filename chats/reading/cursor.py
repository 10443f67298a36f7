"""Pages of chats by cursor: a page begins where the one before ended, whatever happened since.

A page costs the same however many chats there are and however deep it lies, and a chat that is
changed, made or deleted meanwhile moves no other one.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from uuid import UUID

import msgspec
from django.db.models import Q
from rest_framework.exceptions import ValidationError

from chats.models import Chat
from chats.models.chat import ChatQuerySet


class Cursor(msgspec.Struct, array_like=True):
    """The last chat of a page, as it stood in the order of the list."""

    is_pinned: bool
    updated: datetime
    pk: UUID

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises ValidationError for what is no cursor of ours."""
        try:
            return msgspec.json.decode(base64.b64decode(text, b"-_", validate=True), type=cls)
        except (msgspec.DecodeError, binascii.Error, ValueError):
            raise ValidationError({"cursor": ["This is no cursor of this list."]})

    def __str__(self) -> str:
        return base64.b64encode(msgspec.json.encode(self), b"-_").decode()


def page(chats: ChatQuerySet, cursor: str, limit: int) -> tuple[list[Chat], str | None]:
    """Return up to `limit` chats in the sidebar's order, and the next page's cursor, if any."""
    ordered = chats.in_sidebar_order()
    if cursor:
        ordered = ordered.filter(_after(Cursor.read(cursor)))
    rows = list(ordered[: limit + 1])
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], str(Cursor(last.is_pinned, last.updated, last.pk))


def _after(last: Cursor) -> Q:
    # The first condition is implied by the second: it is what the index can be read by.
    older = Q(updated__lte=last.updated) & (Q(updated__lt=last.updated) | Q(pk__lt=last.pk))
    if last.is_pinned:
        return Q(is_pinned=False) | Q(is_pinned=True) & older
    return Q(is_pinned=False) & older
