"""Lists of chats: all of them, the archive, the trash."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chats.models import Chat
from chats.models.chat import ChatQuerySet
from chats.pages.sidebar import get_page, grouped, sidebar_context, zone_of
from proxy.common.access import user_of

AT_ONCE = 50


@login_required
@never_cache
@require_GET
def more(request: HttpRequest) -> HttpResponse:
    """The next rows of the sidebar."""
    parts = sidebar_context(request, request.GET.get("cursor", ""), request.GET.get("last", ""))
    return render(request, "chats/sidebar_chats.html", parts)


@login_required
@never_cache
@require_GET
def everything(request: HttpRequest) -> HttpResponse:
    """All chats, a page at a time; with `archived`, those that were put away."""
    is_archived = "archived" in request.GET
    chats = Chat.objects.of(user_of(request)).filter(is_archived=is_archived)
    return _list(request, chats, "chats/all.html", {"is_archived": is_archived})


@login_required
@never_cache
@require_GET
def trash(request: HttpRequest) -> HttpResponse:
    """What was deleted within the last 30 days, and can be restored."""
    return _list(request, Chat.objects.trash_of(user_of(request)), "chats/trash.html", {})


@login_required
@require_POST
def empty_trash(request: HttpRequest) -> HttpResponse:
    Chat.objects.trash_of(user_of(request)).empty()
    messages.success(request, gettext("The trash is empty."))
    return redirect("trash")


def _list(
    request: HttpRequest, chats: ChatQuerySet, template: str, parts: dict[str, object]
) -> HttpResponse:
    """Show a page of chats by the day."""
    page, following = get_page(chats.with_state(), request.GET.get("cursor", ""), AT_ONCE)
    parameters = {name: value for name, value in request.GET.items() if name != "cursor"}
    query = urlencode(parameters | {"cursor": following or ""})
    parts |= {
        "groups": grouped(page, timezone.now().astimezone(zone_of(request))),
        "more": f"{request.path}?{query}" if following else "",
    }
    return render(request, template, parts)
