"""The list of chats beside a chat: the pinned ones, then by the day of their last message."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError

from chats.models import Chat
from chats.models.chat import ChatQuerySet
from chats.reading.cursor import page
from proxy.common.access import user_of

AT_ONCE = 40
ZONE_COOKIE = "zone"


@dataclass(slots=True)
class Group:
    """Chats under one heading; without a name they go on under the one before."""

    name: str
    chats: list[Chat] = field(default_factory=list)


def sidebar_context(request: HttpRequest, cursor: str = "", last: str = "") -> dict[str, Any]:
    """Return what the list shows from `cursor` on, after a group called `last`."""
    chats = Chat.objects.of(user_of(request)).filter(is_archived=False).with_state()
    page_of_chats, following = get_page(chats, cursor, AT_ONCE)
    groups = grouped(page_of_chats, timezone.now().astimezone(zone_of(request)))
    name = groups[-1].name if groups else ""
    if groups and groups[0].name == last:
        groups[0].name = ""
    query = urlencode({"cursor": following or "", "last": name})
    return {
        "groups": groups,
        "more": f"{reverse('chats-more')}?{query}" if following else "",
        "is_first": not cursor,
    }


def get_page(chats: ChatQuerySet, cursor: str, limit: int) -> tuple[list[Chat], str | None]:
    """Return a page of chats and the cursor of the next; raises BadRequest."""
    try:
        return page(chats, cursor, limit)
    except ValidationError:
        raise BadRequest from None


def zone_of(request: HttpRequest) -> ZoneInfo:
    """Return the time zone that the browser sent, else UTC."""
    try:
        return ZoneInfo(request.COOKIES.get(ZONE_COOKIE, "UTC"))
    except (ValueError, OSError, LookupError):
        return ZoneInfo("UTC")


def grouped(chats: list[Chat], now: datetime) -> list[Group]:
    """Put chats that are in the sidebar's order under their headings."""
    groups: list[Group] = []
    for chat in chats:
        name = (
            gettext("Pinned")
            if chat.is_pinned
            else _day(chat.updated.astimezone(now.tzinfo).date(), now.date())
        )
        if not groups or groups[-1].name != name:
            groups.append(Group(name))
        groups[-1].chats.append(chat)
    return groups


def _day(day: date, today: date) -> str:
    if day >= today:
        return gettext("Today")
    if day == today - timedelta(days=1):
        return gettext("Yesterday")
    if day > today - timedelta(days=7):
        return gettext("Previous 7 days")
    if day > today - timedelta(days=30):
        return gettext("Previous 30 days")
    return formats.date_format(day, "YEAR_MONTH_FORMAT")
