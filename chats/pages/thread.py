"""What a page shows of a chat: each message with its HTML, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from chats.models import Chat, Event, Generation, Message
from chats.reading.message_window import MessageWindow, window
from chats.rendering import blocks_of, rendered

AT_ONCE = 30
MOST_STEPS = 40


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message as it stands on the page."""

    message: Message
    generation: Generation | None = None
    html: SafeString | str = ""
    tail: SafeString | str = ""
    steps: list[str] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        return self.generation is not None and self.generation.is_running

    @property
    def failed(self) -> bool:
        return self.generation is not None and self.generation.state == Generation.State.FAILED

    @property
    def can_continue(self) -> bool:
        return (
            self.generation is not None
            and self.generation.state in (Generation.State.INCOMPLETE, Generation.State.STOPPED)
            and bool(self.message.content)
        )

    @property
    def problem(self) -> str:
        """Why this is not the whole answer, and what to do; empty where it is."""
        state = self.generation.state if self.generation else ""
        if state == Generation.State.INCOMPLETE:
            text = gettext("The answer broke off; what came of it was kept.")
        elif state == Generation.State.FAILED:
            text = gettext("No answer came.")
        else:
            return ""
        return f"{text} {self.generation.error}".strip() if self.generation else text

    @property
    def has_context(self) -> bool:
        return bool(self.generation and self.generation.context.get("messages"))

    @property
    def context_line(self) -> str:
        return context_line(self.generation.context) if self.generation else ""

    @property
    def speaker(self) -> str:
        version = self.message.persona_version
        return version.name if version else "Alchemyst"

    @property
    def avatar(self) -> str:
        version = self.message.persona_version
        return version.avatar if version else ""

    @property
    def version(self) -> str:
        """Differs where the page would look different."""
        state = self.generation.state if self.generation else ""
        return f"{state}.{len(self.message.content)}.{self.index}.{self.count}"

    @property
    def index(self) -> int:
        return self.message.siblings.index

    @property
    def count(self) -> int:
        return self.message.siblings.count

    @property
    def before(self) -> Any:
        return self.message.siblings.ids[self.index - 2] if self.index > 1 else None

    @property
    def after(self) -> Any:
        return self.message.siblings.ids[self.index] if self.index < self.count else None


@dataclass(frozen=True, slots=True)
class Thread:
    """A part of a chat as a page shows it."""

    messages: list[MessageView]
    has_older: bool
    older: str
    older_fragment: str

    @property
    def is_answering(self) -> bool:
        return any(view.is_live for view in self.messages)

    @property
    def last_generation(self) -> Generation | None:
        """The last answer that has a context to show."""
        for view in reversed(self.messages):
            if view.generation and view.generation.context:
                return view.generation
        return None


def thread_of(chat: Chat, *, before: int | None = None) -> Thread:
    """Return the last messages of a chat, or the last ones before a position."""
    part = window(chat, before=before, limit=AT_ONCE)
    first = part.messages[0].position if part.messages else 0
    query = urlencode({"before": first})
    return Thread(
        messages=list(_message_view(part)),
        has_older=part.has_before,
        older=f"{reverse('chat-open', args=[chat.pk])}?{query}",
        older_fragment=f"{reverse('chat-thread', args=[chat.pk])}?{query}",
    )


def _message_view(part: MessageWindow) -> list[MessageView]:
    generations = {
        message.pk: generation
        for message in part.messages
        if (generation := getattr(message, "generation", None)) is not None
    }
    steps = _steps_of([generation.pk for generation in generations.values()])
    return [_single_view(message, generations.get(message.pk), steps) for message in part.messages]


def _single_view(
    message: Message, generation: Generation | None, steps: dict[Any, list[str]]
) -> MessageView:
    if message.role != Message.Role.ASSISTANT:
        return MessageView(message)
    if generation is not None and generation.is_running:
        # What has come so far stands on the page; a script, where there is one, takes over.
        blocks, tail = blocks_of(text_so_far(generation))
        html = SafeString("".join(block.html for block in blocks))
        return MessageView(message, generation, html, rendered(tail), steps.get(generation.pk, []))
    own_steps = steps.get(generation.pk, []) if generation else []
    return MessageView(message, generation, rendered(message.content), "", own_steps)


def _steps_of(generations: list[Any]) -> dict[Any, list[str]]:
    """Return each answer's steps, without a model's own reasoning."""
    steps: dict[Any, list[str]] = {}
    events = Event.objects.filter(generation__in=generations, type=Event.Type.THINKING)
    for pk, content, data in events.order_by("generation", "sequence").values_list(
        "generation", "content", "data"
    ):
        own_steps = steps.setdefault(pk, [])
        if (data or {}).get("step") != "reasoning" and len(own_steps) < MOST_STEPS:
            own_steps.append(content)
    return steps


def text_so_far(generation: Generation) -> str:
    """Return what there is of an answer that is being written."""
    pieces = generation.events.filter(type=Event.Type.DELTA).order_by("sequence")
    return "".join(pieces.values_list("content", flat=True))


def context_line(context: dict[str, Any]) -> str:
    """Say in a sentence what the model was given; empty where it was given everything."""
    stay, go = context.get("messagesKept", 0), context.get("messagesDropped", 0)
    if not go:
        return ""
    return ngettext(
        "Kept %(kept)d of %(all)d message: the rest has nothing to do with this",
        "Kept %(kept)d of %(all)d messages: the rest has nothing to do with this",
        stay + go,
    ) % {"kept": stay, "all": stay + go}
