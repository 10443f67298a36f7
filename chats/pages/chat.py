"""The chat in the browser: ask, read, and what can be done with each message.

Every form works without a script, and then leads to a page. A script sends the header
`X-Fragment`, gets a short JSON answer in place of a page, and fetches the thread again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from asgiref.sync import async_to_sync
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chats.answers import run, runner, start
from chats.answers.prompt import mode_of
from chats.answers.request import AnswerOptions
from chats.errors import BadQuestion
from chats.models import Chat, Generation, Message
from chats.models.chat import BeingAnswered
from chats.pages.fingerprint import fingerprint_of
from chats.pages.form_data import post_id, post_text
from chats.pages.inspector import inspector_view_of
from chats.pages.sidebar import sidebar_context
from chats.pages.thread import Thread, thread_of
from chats.serializers.questions import GenerateSerializer, options_of
from personas.models import DEFAULT, Persona, relevance_modes
from proxy.common.access import user_of
from proxy.errors import ApiError

LONGEST_QUESTION = 100_000
# One more is read, so that what is longer is refused and not cut.
TOO_LONG = LONGEST_QUESTION + 1
LONGEST_CLIENT_ID, LONGEST_SLUG = 80, 40
SCOPES = frozenset({"chat", "internal", "external"})
SOURCE = "web"


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_chat(request: HttpRequest) -> HttpResponse:
    """An empty chat; a question makes a real one of it."""
    if request.method != "POST":
        return _welcome(request)
    content = post_text(request, "starter", TOO_LONG) or post_text(request, "content", TOO_LONG)
    try:
        generation = question_in(request, content, None)
    except ApiError as error:
        return _welcome(request, draft=content, error=error)
    return redirect("chat-open", generation.chat_id)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def one_chat(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """A chat; a question is added to it."""
    chat = get_chat(request, chat_id)
    if request.method != "POST":
        return _page(request, chat)
    content = post_text(request, "content", TOO_LONG)
    try:
        question_in(request, content, chat_id)
    except ApiError as error:
        if is_fragment(request):
            return refusal(error)
        return _page(request, chat, draft=content, error=error)
    return respond(request, chat_id)


@login_required
@never_cache
@require_GET
def thread(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """The thread of a chat, and what stands around it, for a script that puts it into the page."""
    chat = get_chat(request, chat_id)
    before = request.GET.get("before", "")
    # Before the messages are read: a change in between is then noticed.
    fingerprint = fingerprint_of(chat)
    view = thread_of(chat, before=int(before) if before.isdecimal() else None)
    context = _page_context(request, chat, view) | {"fingerprint": fingerprint}
    return render(request, "chats/thread_fragment.html", context)


@login_required
@never_cache
@require_GET
def inspector(request: HttpRequest, chat_id: UUID, message_id: UUID) -> HttpResponse:
    """What the model was given for one answer."""
    chat = get_chat(request, chat_id)
    answers = chat.generations.select_related("message__persona_version")
    generation = get_object_or_404(answers, message=message_id)
    context = {
        "chat": chat,
        "given": inspector_view_of(generation, everything="all" in request.GET),
    }
    return render(request, "chats/inspector.html", context)


@login_required
@require_POST
def regenerate(request: HttpRequest, chat_id: UUID, message_id: UUID) -> HttpResponse:
    """Answer once more; the answer that there is stays beside it."""
    return _start_and_respond(
        request,
        chat_id,
        lambda: start.regenerate(user_of(request), chat_id, options_in(request), message_id, None),
    )


@login_required
@require_POST
def edit(request: HttpRequest, chat_id: UUID, message_id: UUID) -> HttpResponse:
    """Ask a question in other words; the old one stays with all that followed it."""
    content = post_text(request, "content", TOO_LONG)
    return _start_and_respond(
        request,
        chat_id,
        lambda: start.regenerate(
            user_of(request), chat_id, options_in(request), message_id, checked(content)
        ),
    )


@login_required
@require_POST
def continue_answer(request: HttpRequest, chat_id: UUID, message_id: UUID) -> HttpResponse:
    """Go on with an answer that broke off or was stopped."""
    return _start_and_respond(
        request,
        chat_id,
        lambda: start.continue_answer(user_of(request), chat_id, options_in(request), message_id),
    )


@login_required
@require_POST
def stop(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Stop the answer that is being written, and keep what there is."""
    chat = get_chat(request, chat_id)
    run.stop_all(Generation.objects.filter(chat=chat))
    return respond(request, chat_id)


@login_required
@require_POST
def show(request: HttpRequest, chat_id: UUID, message_id: UUID) -> HttpResponse:
    """Show the branch on which a message stands."""
    chat = get_chat(request, chat_id)
    try:
        chat.show_message(get_object_or_404(chat.messages, pk=message_id))
    except BeingAnswered:
        return respond(request, chat_id, problem=gettext("Wait for the answer, or stop it."))
    return respond(request, chat_id)


@login_required
@require_POST
def fate(request: HttpRequest, chat_id: UUID) -> HttpResponse:
    """Pin a message to what the model is given, or exclude it; once more takes that back."""
    chat = get_chat(request, chat_id)
    fates = {"pin": Message.Fate.PINNED, "exclude": Message.Fate.EXCLUDED}
    action = next((name for name in fates if name in request.POST), "")
    index = request.POST.get(action, "")
    generation = get_object_or_404(chat.generations, pk=post_id(request, "generation"))
    messages = generation.context.get("messages", [])
    if not index.isdecimal() or int(index) >= len(messages):
        return respond(request, chat_id)
    message = get_object_or_404(chat.messages, pk=messages[int(index)]["id"])
    message.set_fate("" if message.fate == fates[action] else fates[action])
    return respond(request, chat_id)


def question_in(request: HttpRequest, content: str, chat_id: UUID | None) -> Generation:
    """Store a question and have it answered; raises ApiError."""
    client_id = post_text(request, "client_id", LONGEST_CLIENT_ID)
    message = {"role": Message.Role.USER, "content": checked(content), "id": client_id}
    fields = {"chat_history": [message], "persona": persona_in(request)}
    serializer = GenerateSerializer(data=fields)
    serializer.is_valid(raise_exception=True)
    question = serializer.question(
        page_access_of(request),
        chat_id=chat_id,
        idempotency_key=f"page:{client_id}" if client_id else "",
        source=SOURCE,
    )
    async_to_sync(_refuse_if_draining)()
    started = start.start_answer(user_of(request), question)
    async_to_sync(runner.start)(started)
    return started.generation


def checked(content: str) -> str:
    """Return the text of a question; raises BadQuestion for none, and for one that is too long."""
    if not content or len(content) > LONGEST_QUESTION:
        raise BadQuestion(gettext("Write a question of at most 100,000 characters."))
    return content


async def _refuse_if_draining() -> None:
    runner.refuse_if_draining()


@dataclass(frozen=True, slots=True)
class PageAccess:
    """What a person at a page may: all that their account does."""

    relevance: str
    cost: str
    key_id: None = None
    scopes: frozenset[str] = SCOPES


def page_access_of(request: HttpRequest) -> PageAccess:
    user = user_of(request)
    return PageAccess(user.relevance, user.cost)


def persona_in(request: HttpRequest) -> str:
    return post_text(request, "persona", LONGEST_SLUG)


def options_in(request: HttpRequest) -> AnswerOptions:
    """Return how a person at a page wants an answer."""
    return options_of({"persona": persona_in(request)}, page_access_of(request))


def get_chat(request: HttpRequest, chat_id: UUID) -> Chat:
    """Return a chat of the user's; anybody else's is not there."""
    mine = Chat.objects.of(user_of(request)).select_related("branch", "persona_version__persona")
    return get_object_or_404(mine, pk=chat_id)


def is_fragment(request: HttpRequest) -> bool:
    return "X-Fragment" in request.headers


def refusal(error: ApiError) -> HttpResponse:
    return JsonResponse({"message": error.message}, status=error.status)


def respond(request: HttpRequest, chat_id: UUID, problem: str = "") -> HttpResponse:
    """Answer a form: a word for a script, else the chat's page."""
    if not is_fragment(request):
        return redirect("chat-open", chat_id)
    return JsonResponse({"message": problem}, status=409 if problem else 200)


def _start_and_respond(request: HttpRequest, chat_id: UUID, start_answer: Any) -> HttpResponse:
    chat = get_chat(request, chat_id)
    try:
        async_to_sync(_refuse_if_draining)()
        async_to_sync(runner.start)(start_answer())
    except ApiError as error:
        if is_fragment(request):
            return refusal(error)
        return _page(request, chat, error=error)
    return respond(request, chat_id)


def _welcome(
    request: HttpRequest, *, draft: str = "", error: ApiError | None = None
) -> HttpResponse:
    personas = [each for each in Persona.objects.visible_to(user_of(request)) if each.current]
    personas.sort(key=lambda persona: (persona.slug != DEFAULT, persona.is_shared, persona.slug))
    slug = request.GET.get("persona", DEFAULT)
    chosen = next((each for each in personas if each.slug == slug), None)
    chosen = chosen or (personas[0] if personas else None)
    context = {
        **sidebar_context(request),
        "personas": personas,
        "persona": chosen.current if chosen else None,
        "client_id": uuid4(),
        "draft": draft or request.GET.get("q", "")[:LONGEST_QUESTION],
        "error": error.message if error else "",
    }
    return render(request, "chats/chat.html", context, status=error.status if error else 200)


def _page(
    request: HttpRequest, chat: Chat, *, draft: str = "", error: ApiError | None = None
) -> HttpResponse:
    before = request.GET.get("before", "")
    fingerprint = fingerprint_of(chat)
    view = thread_of(chat, before=int(before) if before.isdecimal() else None)
    context = {
        "fingerprint": fingerprint,
        **sidebar_context(request),
        **_page_context(request, chat, view),
        "client_id": uuid4(),
        "draft": draft,
        "error": error.message if error else "",
    }
    return render(request, "chats/chat.html", context, status=error.status if error else 200)


def _page_context(request: HttpRequest, chat: Chat, view: Thread) -> dict[str, Any]:
    """Return what a page shows of a chat beside the list of chats."""
    generation = view.last_generation
    if message_id := request.GET.get("given"):
        generation = next(
            (each.generation for each in view.messages if str(each.message.pk) == message_id),
            generation,
        )
    usual = mode_of(None, chat.persona_version, user_of(request).relevance)
    names = dict(relevance_modes())
    modes = [("", gettext("usual: %(mode)s") % {"mode": names[usual]}), *relevance_modes()]
    return {
        "chat": chat,
        "thread": view,
        "persona": chat.persona_version,
        "is_answering": view.is_answering,
        "given": inspector_view_of(generation) if generation else None,
        "modes": modes,
        "mode_name": names[chat.relevance or usual],
    }
