"""What is done with a whole chat: rename, pin, archive, fork, delete, and take that back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from chats.models import Chat
from chats.models.chat import LONGEST_TITLE, BeingAnswered, TitleTooLong, TooLong, UnknownMode
from chats.pages.chat import get_chat
from chats.pages.form_data import post_id, post_text
from proxy.common.access import user_of


@login_required
@require_POST
def rename(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    chat = get_chat(request, chat_id)
    try:
        # One character more is read, so that what is too long is refused and not cut.
        chat.rename(post_text(request, "title", LONGEST_TITLE + 1))
    except TitleTooLong:
        messages.error(request, gettext("A title has at most 200 characters."))
    return redirect("chat-open", chat_id)


@login_required
@require_POST
def pin(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    get_chat(request, chat_id).pin()
    return back(request, chat_id)


@login_required
@require_POST
def archive(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Take a chat out of the list, or put it back; it stays in the search."""
    chat = get_chat(request, chat_id)
    chat.archive()
    text = gettext("Archived.") if chat.is_archived else gettext("Taken out of the archive.")
    messages.success(request, text, extra_tags=reverse("chat-archive", args=[chat_id]))
    return back(request, chat_id)


@login_required
@require_POST
def relevance(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Choose how strictly this chat is filtered; empty leaves that to the persona."""
    chat = get_chat(request, chat_id)
    try:
        chat.set_mode(request.POST.get("relevance", ""))
    except UnknownMode:
        messages.error(request, gettext("There is no such mode."))
    return redirect("chat-open", chat_id)


@login_required
@require_POST
def fork(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Copy a chat into a new one, up to a message or as a whole."""
    chat = get_chat(request, chat_id)
    at = (
        get_object_or_404(chat.messages, pk=post_id(request, "message"))
        if "message" in request.POST
        else chat.messages_on().last()
    )
    if at is None:
        return redirect("chat-open", chat_id)
    try:
        copy = chat.fork(at=at)
    except BeingAnswered:
        messages.error(request, gettext("Wait for the answer, or stop it, then fork."))
    except TooLong:
        messages.error(request, gettext("So much can't be copied. Fork at an earlier message."))
    else:
        messages.success(request, gettext("This is a copy. The chat it came from is unchanged."))
        return redirect("chat-open", copy.pk)
    return redirect("chat-open", chat_id)


@login_required
@require_POST
def delete(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Put a chat into the trash, with a way back."""
    get_chat(request, chat_id).move_to_trash()
    undo = reverse("chat-restore", args=[chat_id])
    messages.success(request, gettext("Deleted. It stays in the trash for 30 days."), undo)
    is_on_its_page = request.headers.get("Referer", "").rstrip("/").endswith(str(chat_id))
    return redirect("chat") if is_on_its_page else back(request, chat_id)


@login_required
@require_POST
def restore(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    get_object_or_404(Chat.objects.trash_of(user_of(request)), pk=chat_id).restore()
    messages.success(request, gettext("The chat is back."))
    return redirect("chat-open", chat_id)


def back(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Return to the page that a form stood on, if it is one of ours."""
    url = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return redirect(url) if url and is_ours else redirect("chat-open", chat_id)
