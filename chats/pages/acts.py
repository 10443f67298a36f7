"""What is done with a whole chat: rename, pin, archive, fork, delete, and take that back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from chats import bell
from chats.models import Chat
from chats.models.chat import BeingAnswered, TooLong
from chats.pages.chat import found
from chats.pages.sent import required_id_in, text_in
from proxy.common.access import user_of
from proxy.relevance import modes

LONGEST_TITLE = 200


@login_required
@require_POST
def rename(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    chat = found(request, chat_id)
    if title := text_in(request, "title", LONGEST_TITLE):
        chat.title, chat.has_own_title = title, True
        chat.save(update_fields=["title", "has_own_title"])
        bell.ring(str(chat_id))
    return redirect("chat-open", chat_id)


@login_required
@require_POST
def pin(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    chat = found(request, chat_id)
    Chat.objects.filter(pk=chat.pk).update(is_pinned=~F("is_pinned"))
    return back(request, chat_id)


@login_required
@require_POST
def archive(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Take a chat out of the list, or put it back; it stays in the search."""
    chat = found(request, chat_id)
    Chat.objects.filter(pk=chat.pk).update(is_archived=~F("is_archived"))
    said = gettext("Taken out of the archive.") if chat.is_archived else gettext("Archived.")
    messages.success(request, said, extra_tags=reverse("chat-archive", args=[chat_id]))
    return back(request, chat_id)


@login_required
@require_POST
def relevance(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Choose how strictly this chat is filtered; empty leaves that to the persona."""
    chat = found(request, chat_id)
    mode = request.POST.get("relevance", "")
    if mode in ("", *modes.NAMES):
        chat.relevance = mode
        chat.save(update_fields=["relevance"])
        bell.ring(str(chat_id))
    return redirect("chat-open", chat_id)


@login_required
@require_POST
def fork(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Copy a chat into a new one, up to a message or as a whole."""
    chat = found(request, chat_id)
    at = (
        get_object_or_404(chat.messages, pk=required_id_in(request, "message"))
        if "message" in request.POST
        else chat.messages_on().last()
    )
    if at is None:
        return redirect("chat-open", chat_id)
    try:
        made = chat.fork(at=at)
    except BeingAnswered:
        messages.error(request, gettext("Wait for the answer, or stop it, then fork."))
    except TooLong:
        messages.error(request, gettext("So much can't be copied. Fork at an earlier message."))
    else:
        messages.success(request, gettext("This is a copy. The chat it came from is unchanged."))
        return redirect("chat-open", made.pk)
    return redirect("chat-open", chat_id)


@login_required
@require_POST
def delete(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Put a chat into the trash, with a way back."""
    chat = found(request, chat_id)
    Chat.objects.filter(pk=chat.pk).throw_away()
    bell.ring(str(chat_id))
    undo = reverse("chat-restore", args=[chat_id])
    messages.success(request, gettext("Deleted. It stays in the trash for 30 days."), undo)
    shown = request.headers.get("Referer", "").rstrip("/").endswith(str(chat_id))
    return redirect("chat") if shown else back(request, chat_id)


@login_required
@require_POST
def restore(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    mine = Chat.objects.trash_of(user_of(request))
    chat = get_object_or_404(mine, pk=chat_id)
    mine.filter(pk=chat.pk).restore()
    messages.success(request, gettext("The chat is back."))
    return redirect("chat-open", chat_id)


def back(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Return to the page that a form stood on, if it is one of ours."""
    page = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(
        page, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return redirect(page) if page and ours else redirect("chat-open", chat_id)
