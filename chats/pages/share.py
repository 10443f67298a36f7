"""Sharing: a copy of a chat under an address that nobody guesses, until it is revoked."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chats.models import Chat, Message, Share
from chats.pages.chat import get_chat
from chats.rendering import rendered
from proxy.common.access import user_of

MOST_MESSAGES = 500
LIVES = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}


@login_required
@require_POST
def share(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Make a copy of the branch that is shown, for whoever has its address."""
    if not settings.CHAT_SHARING:
        raise PermissionDenied(gettext("Sharing is switched off here."))
    chat = get_chat(request, chat_id)
    life = LIVES.get(request.POST.get("life", ""))
    copied = [_copied(message) for message in _last(chat) if message.content]
    if not copied:
        messages.error(request, gettext("There is nothing to share yet."))
        return redirect("chat-open", chat_id)
    Share.objects.create(
        owner_id=chat.owner_id,
        chat=chat,
        title=chat.title,
        messages=copied,
        expires_at=timezone.now() + life if life else None,
    )
    messages.success(request, gettext("Shared: whoever has the address can read this copy."))
    return redirect("shares")


@login_required
@never_cache
@require_GET
def shares(request: HttpRequest) -> HttpResponse:
    """What one has shared, with its addresses."""
    mine = Share.objects.of(user_of(request)).defer("messages").order_by("-created")
    rows = [
        {"share": each, "address": request.build_absolute_uri(reverse("shared", args=[each.token]))}
        for each in mine
    ]
    return render(request, "chats/shares.html", {"rows": rows, "now": timezone.now()})


@login_required
@require_POST
def revoke(request: HttpRequest, share_id: UUID) -> HttpResponse:
    mine = get_object_or_404(Share.objects.of(user_of(request)), pk=share_id)
    mine.revoked_at, mine.messages = timezone.now(), []
    mine.save(update_fields=["revoked_at", "messages"])
    messages.success(request, gettext("Revoked: the address shows nothing any more."))
    return redirect("shares")


@require_GET
@never_cache
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """A shared chat, for anybody who has its address."""
    open_now = Share.objects.open_now() if settings.CHAT_SHARING else Share.objects.none()
    copy = get_object_or_404(open_now, token=token)
    copied_messages = [
        each | {"html": rendered(each["content"]) if each["role"] == "assistant" else ""}
        for each in copy.messages
    ]
    response = render(
        request, "chats/shared.html", {"copy": copy, "copied_messages": copied_messages}
    )
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    # The address is the key: it goes to nobody else.
    response["Referrer-Policy"] = "no-referrer"
    return response


def _last(chat: Chat) -> list[Message]:
    newest = chat.messages_on().select_related("persona_version").order_by("-position")
    return list(newest[:MOST_MESSAGES])[::-1]


def _copied(message: Message) -> dict[str, str]:
    version = message.persona_version
    return {
        "role": message.role,
        "content": message.content,
        "speaker": version.name if version else "Alchemyst",
        "face": version.avatar if version else "",
    }
