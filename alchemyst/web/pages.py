"""Pages that belong to no app: the first one, and the one that shows the components."""

from __future__ import annotations

import re

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from alchemyst.accounts.auth.authentication import signed_in
from alchemyst.accounts.pages.forms import SignUpForm
from alchemyst.personal_data import export as export_of
from proxy.pages.playground import example

# What strangers see the filter do.
EXAMPLE_HISTORY = """\
User: How do I merge two sorted lists in Python?
Assistant: With heapq.merge, lazily and in linear time: list(merge([1, 4, 9], [2, 3, 10])).
User: My sourdough starter smells of acetone. Is that normal?
Assistant: Yes, after a week or so. It is hungry: feed it twice a day with fresh flour and water.
User: From now on, always answer with an example.
Assistant: I will.
User: And if the two lists to merge are sorted the other way round?"""
FIRST_LINES = """\
client = OpenAI(
    base_url="%s",
    api_key="alk_...",
)"""


def home(request: HttpRequest) -> HttpResponse:
    """Explain the product to strangers; whoever is signed in wants to go on."""
    if request.user.is_authenticated:
        return redirect("chat")
    view = example(EXAMPLE_HISTORY)
    snippet = FIRST_LINES % _proxy(request)
    context = {"given": view, "question": view.messages[-1].text, "snippet": snippet}
    return render(request, "landing.html", context)


@login_required
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Show where a program connects, and what it needs."""
    return render(request, "start.html", {"proxy": _proxy(request)})


def _proxy(request: HttpRequest) -> str:
    return request.build_absolute_uri("/api/v1/proxy/default")


@login_required
@require_safe
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Hand out all that is kept of who asks."""
    headers = {"Content-Disposition": 'attachment; filename="alchemyst.json"'}
    rows = export_of(signed_in(request).pk)
    return StreamingHttpResponse(rows, content_type="application/json", headers=headers)


def styleguide(request: HttpRequest) -> HttpResponse:
    """Show every component, for those who build pages."""
    if not settings.DEBUG:
        raise Http404
    messages.success(request, "Saved. This one has a way back.", extra_tags=reverse("styleguide"))
    wrong = SignUpForm({"username": "not a name", "email": "nowhere", "password": "1234"})
    icons = (settings.BASE_DIR / "static" / "icons.svg").read_text(encoding="utf-8")
    context = {"form": SignUpForm(), "wrong": wrong, "icons": re.findall(r'id="([\w-]+)"', icons)}
    return render(request, "styleguide.html", context)
