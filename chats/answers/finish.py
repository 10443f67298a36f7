"""How an answer ends: its text, its state and its last events, in one transaction.

Whoever comes first ends it, the process that ran it or one that found its lease over; who comes
second changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from chats.eventlog import notify
from chats.eventlog.event import LogEvent
from chats.models import Chat, Event, Generation, Message
from proxy.common.runtime import clock

State = Generation.State
Type = Event.Type

BROKE_OFF = "The answer broke off: the server that wrote it has ended. Continue it, or ask again."
# How many abandoned answers one sweep ends.
AT_ONCE = 100
# Of what is known of an answer's context, the inspector's alone.
INSPECTED = ("messages", "instructions")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer."""

    state: str
    text: str
    error: str = ""
    error_type: str = "server_error"
    code: str = ""
    status: int = 503
    """The HTTP status of an API call that waits for the answer."""
    finish: str = ""
    model: str = ""
    target: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)


def finalize(
    generation_id: UUID, outcome: Outcome, unsaved: list[LogEvent]
) -> list[LogEvent] | None:
    """End an answer; return its last events, or None if it had ended before.

    `unsaved` are the events that came before its end and are not in the log yet.
    """
    with transaction.atomic():
        generation = _locked(generation_id)
        if generation is None:
            return None
        events = unsaved + _last_events(generation, outcome, unsaved)
        Event.objects.bulk_create(event.row(generation_id) for event in events)
        keys = (str(generation_id), str(generation.chat_id))
        transaction.on_commit(partial(notify.publish, *keys))
    return events


def sweep() -> int:
    """End the answers whose process is gone, with the text that they had; return how many."""
    abandoned = Generation.objects.abandoned().values_list("pk", flat=True)[:AT_ONCE]
    return sum(expire(pk) for pk in list(abandoned))


def expire(generation_id: UUID) -> bool:
    """End one answer whose lease is over; say whether it was so.

    Right after the clock was set, leases of those that live look as if they were over.
    """
    if clock.has_jumped():
        return False
    with transaction.atomic():
        running = Generation.objects.abandoned().select_for_update()
        if running.filter(pk=generation_id).first() is None:
            return False
        deltas = Event.objects.filter(generation=generation_id, type=Type.DELTA)
        text = "".join(deltas.order_by("sequence").values_list("content", flat=True))
        broken = Outcome(State.INCOMPLETE, text, error=BROKE_OFF, code="broken_off")
        return finalize(generation_id, broken, []) is not None


def _locked(generation_id: UUID) -> Generation | None:
    running = Generation.objects.running().select_for_update(of=("self",))
    rows = running.select_related("chat", "message__persona_version__persona")
    return rows.filter(pk=generation_id).first()


def _last_events(
    generation: Generation, outcome: Outcome, unsaved: list[LogEvent]
) -> list[LogEvent]:
    now = timezone.now()
    _update_rows(generation, outcome)
    if unsaved:
        last = unsaved[-1].sequence
    else:
        last = generation.events.aggregate(last=Max("sequence", default=0))["last"]
    events = []
    if outcome.state in (State.COMPLETE, State.STOPPED):
        final = {
            "messageId": str(generation.message_id),
            "persona": _persona_of(generation.message),
            "model": generation.model,
            "state": generation.state,
            "finishReason": outcome.finish,
        }
        # Its text is the message's, which the log need not hold as well.
        events.append(LogEvent(last + 1, Type.FINAL, "", final))
    metadata = metadata_of(generation)
    events.append(LogEvent(last + len(events) + 1, Type.METADATA, "", metadata))
    if outcome.error:
        error = {
            "message": outcome.error,
            "type": outcome.error_type,
            "code": outcome.code,
            "status": outcome.status,
        }
        events.append(LogEvent(last + len(events) + 1, Type.ERROR, "", error))
    events.append(LogEvent(last + len(events) + 1, Type.DONE))
    Chat.objects.filter(pk=generation.chat_id).update(updated=now)
    return events


def _update_rows(generation: Generation, outcome: Outcome) -> None:
    """Write the outcome into the rows of the answer and of its message."""
    generation.state = outcome.state
    generation.error = outcome.error[:300]
    generation.finished = timezone.now()
    generation.model = outcome.model or generation.model
    generation.target = outcome.target or generation.target
    generation.usage = outcome.usage or generation.usage
    generation.context = outcome.context or generation.context
    generation.save(
        update_fields=["state", "error", "finished", "model", "target", "usage", "context"]
    )
    message = generation.message
    message.content = outcome.text
    message.model = generation.model
    message.metadata |= {"state": generation.state, "finishReason": outcome.finish}
    if sources := generation.context.get("sources"):
        message.metadata["sources"] = sources
    message.save(update_fields=["content", "model", "metadata"])


def metadata_of(generation: Generation) -> dict[str, Any]:
    """Return what a client gets of an answer besides its text."""
    message, context = generation.message, generation.context
    finished = generation.finished or timezone.now()
    return {
        "chatId": str(generation.chat_id),
        "title": generation.chat.title,
        "replaySessionID": str(generation.pk),
        "messageId": str(message.pk),
        "questionId": str(message.parent_id) if message.parent_id else None,
        "persona": _persona_of(message),
        "model": generation.model,
        "state": generation.state,
        "usage": generation.usage,
        "context": {name: value for name, value in context.items() if name not in INSPECTED},
        "sources": context.get("sources", []),
        "timeTaken": round((finished - generation.created).total_seconds() * 1000),
    }


def _persona_of(message: Message) -> str | None:
    version = message.persona_version
    return version.persona.slug if version else None
