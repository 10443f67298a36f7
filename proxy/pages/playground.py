"""The playground: what the filter does with a conversation that somebody pastes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from proxy.common.errors import ApiError, InvalidRequest
from proxy.filtering import pins
from proxy.filtering.cli import conversation_files
from proxy.filtering.cli.conversation_files import MOST_MESSAGES, Conversation
from proxy.filtering.cli.transcripts import messages_in
from proxy.filtering.inspector import InspectorView, inspector_view
from proxy.filtering.result import FilterOptions, filtered
from proxy.meaning.conversation import with_meanings
from proxy.relevance import modes

# How long a page may take for what texts mean; then words alone count.
ENCODER_SECONDS = 3.0

EXAMPLE = """\
User: How do I merge two sorted lists in Python?
Assistant: With heapq.merge, lazily and in linear time: list(merge([1, 4, 9], [2, 3, 10])).
User: My sourdough starter smells of acetone. Is that normal?
Assistant: Yes, after a week or so. It is hungry: feed it twice a day with fresh flour and water.
User: From now on, always answer with an example.
Assistant: I will.
User: How do I sort a list of names in Python, whatever their case?
Assistant: names.sort(key=str.casefold), so that "anna" comes before "Bob".
User: Names for a black cat?
Assistant: Inky, Soot, Onyx, or Salem if she looks at you as if she knew.
User: How long does the dough have to rest?
Assistant: Four hours at room temperature, or a night in the fridge.
User: And if the two lists to merge are sorted the other way round, from large to small?"""


def example(text: str) -> InspectorView:
    """Return what a model is given of a transcript, in the operator's mode."""
    form = PlaygroundForm(text, settings.PROXY_RELEVANCE)
    return _account(_conversation(text), form, form.mode)


@dataclass(frozen=True, slots=True)
class PlaygroundForm:
    """What the form of the playground holds; `pinned` and `excluded` are places in it."""

    text: str
    mode: str
    pinned: frozenset[int] = frozenset()
    excluded: frozenset[int] = frozenset()


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def playground(request: HttpRequest) -> HttpResponse:
    """Show what becomes of each message, in each mode; without a script a form does it."""
    fields: dict[str, Any] = {"mode": settings.PROXY_RELEVANCE, "text": ""}
    if "example" in request.GET:
        fields |= _try(PlaygroundForm(EXAMPLE, settings.PROXY_RELEVANCE))
    if request.method == "POST":
        try:
            fields |= _try(_form_of(request))
        except ApiError as error:
            fields |= {"error": error.message, "text": request.POST.get("text", "")}
    tokens = {mode: account.tokens_sent for mode, account in fields.get("accounts", {}).items()}
    fields["modes"] = [(mode, mode.replace("_", " "), tokens.get(mode)) for mode in modes.NAMES]
    return render(request, "proxy/playground.html", fields)


def _form_of(request: HttpRequest) -> PlaygroundForm:
    """Return what the form was sent with; a pin or an exclusion that was clicked is turned."""
    posted = request.POST
    mode = posted.get("mode", settings.PROXY_RELEVANCE)
    if mode not in modes.NAMES:
        raise InvalidRequest(gettext("Choose one of the modes."))
    if upload := request.FILES.get("file"):
        return PlaygroundForm(_read(upload), mode)
    text = posted.get("text", "").replace("\r\n", "\n")
    if "fresh" in posted:
        return PlaygroundForm(text, mode)
    pinned, excluded, pin, exclude = (
        pins.places(posted.get(name, ""), MOST_MESSAGES, header=name)
        for name in ("pinned", "excluded", "pin", "exclude")
    )
    return PlaygroundForm(text, mode, (pinned ^ pin) - exclude, (excluded ^ exclude) - pin)


def _read(upload: UploadedFile) -> str:
    if (upload.size or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise InvalidRequest(gettext("This file is too large."))
    try:
        return upload.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(gettext("This file is no text in UTF-8.")) from None


def _try(form: PlaygroundForm) -> dict[str, Any]:
    """Return what the page shows of a conversation."""
    read = _conversation(form.text)
    accounts = {mode: _account(read, form, mode) for mode in modes.NAMES}
    account = accounts[form.mode]
    return {
        "text": form.text,
        "mode": form.mode,
        "pinned": _join_places(form.pinned),
        "excluded": _join_places(form.excluded),
        "given": account,
        "is_short": account.tokens_sent < account.tokens_before < settings.PROXY_SHORT_TOKENS,
        "accounts": accounts,
    }


def _conversation(text: str) -> Conversation:
    body = text.strip()
    if not body:
        raise InvalidRequest(gettext("Paste a conversation, or choose a file."))
    if not body.startswith(("{", "[")):
        body = msgspec.json.encode({"messages": messages_in(body)}).decode()
    conversations = conversation_files.read(
        body.encode("utf-8", "replace"), most_messages=settings.PROXY_MAX_MESSAGES
    )
    if len(conversations) > 1:
        raise InvalidRequest(gettext("These are several conversations. Paste one."))
    read = conversations[0]
    messages = with_meanings(read.request.messages, seconds=ENCODER_SECONDS)
    return replace(read, request=replace(read.request, messages=messages))


def _account(read: Conversation, form: PlaygroundForm, mode: str) -> InspectorView:
    places = range(len(read.request.messages))
    pinned, excluded = form.pinned.intersection(places), form.excluded.intersection(places)
    options = FilterOptions(mode, pinned, excluded, settings.PROXY_FILTER_SECONDS)
    result = filtered(read.request, read.dialect, options)
    return inspector_view(result, pinned=pinned, excluded=excluded)


def _join_places(places: frozenset[int]) -> str:
    return ",".join(map(str, sorted(places)))
