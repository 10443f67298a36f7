"""What the model was given for an answer of a chat, as the inspector shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from chats.models import Generation, Message
from proxy.filtering import inspector

# The page of a long chat stays small: the rest is loaded on request.
AT_ONCE = 40
# A fate that a person chose stands in the log as one of its own.
_DROPPED = ("dropped", "excluded")


@dataclass(frozen=True, slots=True)
class ChatInspectorView(inspector.InspectorView):
    """The history of one answer, the last of it listed."""

    generation: UUID
    message: UUID
    hidden: int
    """How many messages stand before those that are listed."""


def inspector_view_of(
    generation: Generation, *, everything: bool = False
) -> ChatInspectorView | None:
    """Return what the inspector shows of an answer; None where nothing is known."""
    context = generation.context
    sent_messages: list[dict[str, Any]] = context.get("messages", [])
    if not sent_messages:
        return None
    first = 0 if everything else max(0, len(sent_messages) - AT_ONCE)
    rows = sent_messages[first:]
    messages = Message.objects.filter(pk__in=[row["id"] for row in rows if row.get("id")])
    contents = {str(pk): rest for pk, *rest in messages.values_list("pk", "content", "fate")}
    lines = [
        _message(index, row, *contents.get(str(row.get("id")), ("", "")))
        for index, row in enumerate(rows, start=first)
    ]
    if tokens := context.get("instructions"):
        lines.insert(0, _instructions(generation, tokens))
    return ChatInspectorView(
        messages=lines,
        tokens_before=context.get("tokensBefore", 0),
        tokens_sent=context.get("tokensAfter", 0),
        generation=generation.pk,
        message=generation.message_id,
        hidden=first,
    )


def _instructions(generation: Generation, tokens: int) -> inspector.Message:
    """Return the line of the instructions, without their words: they may be another's secret."""
    version = generation.message.persona_version
    text = (
        gettext("%(name)s's instructions") % {"name": version.name}
        if version
        else gettext("Instructions")
    )
    return inspector.Message(
        index=-1, role="system", text=text, tokens=tokens, fate="protected", reason="system message"
    )


def _message(index: int, row: dict[str, Any], content: str, fate: str) -> inspector.Message:
    return inspector.Message(
        index=index,
        role=row["role"],
        text=content,
        tokens=row.get("tokens", 0),
        fate="dropped" if row["fate"] in _DROPPED else row["fate"],
        reason=row.get("reason", ""),
        score=row.get("score"),
        is_pinned=fate == Message.Fate.PINNED,
        is_excluded=fate == Message.Fate.EXCLUDED,
    )
