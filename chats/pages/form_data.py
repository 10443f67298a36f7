"""What a form of a page says: texts and ids, sound whatever was sent."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest

from chats.serializers.questions import id_in


def post_text(request: HttpRequest, name: str, longest: int) -> str:
    """Return a field's text, cut to a length; PostgreSQL takes no NUL in a text."""
    return request.POST.get(name, "").replace("\0", "").strip()[:longest]


def post_id(request: HttpRequest, name: str) -> UUID:
    """Return a field's id; raises Http404 for what is none, as for one that leads nowhere."""
    id = id_in(request.POST.get(name, ""))
    if id is None:
        raise Http404
    return id
