"""Rows that a page deletes, and restores if that was a slip."""

from __future__ import annotations

from django.contrib import messages
from django.core import serializers
from django.core.serializers.base import DeserializedObject
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.urls import reverse


def delete_with_undo(
    request: HttpRequest, row: Model, *, session_key: str, message: str, restore: str
) -> None:
    """Delete a row, keep it in the session, and offer the view `restore` along with the message.

    The session holds the columns as they are: what is sealed stays sealed.
    """
    request.session[session_key] = serializers.serialize("json", [row])
    row.delete()
    messages.success(request, message, extra_tags=reverse(restore))


def pop_deleted(request: HttpRequest, session_key: str) -> DeserializedObject:
    """Return the row deleted last, for the caller to save; raises Http404 if there is none."""
    text = request.session.pop(session_key, None)
    if text is None:
        raise Http404
    return next(iter(serializers.deserialize("json", text)))
