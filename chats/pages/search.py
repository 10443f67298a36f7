"""Search in one's own chats: a page, and the rows that come as one types."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chats.models import Chat
from chats.pages.sidebar import get_page
from chats.reading.search_matches import attach_matches
from chats.search.query import Query
from proxy.common.access import user_of

AT_ONCE = 20


@login_required
@never_cache
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What is found in titles and messages; a script gets the rows alone."""
    words = request.GET.get("q", "").strip()
    cursor = request.GET.get("cursor", "")
    chats, following = get_page(Chat.objects.of(user_of(request)).about(words), cursor, AT_ONCE)
    attach_matches(chats, Query.of(words))
    query = urlencode({"q": words, "cursor": following or ""})
    parts = {
        "words": words,
        "chats": chats,
        "more": f"{reverse('search')}?{query}" if following else "",
    }
    is_typing = "HX-Request" in request.headers
    return render(request, "chats/search_results.html" if is_typing else "chats/search.html", parts)
