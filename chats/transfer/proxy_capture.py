"""Conversations that went through the proxy, kept as chats where their API key says so.

A conversation grows by a question and an answer with each request, and every request holds all of
it. It is known by its first question and answer: what begins with the same ones is the same chat.
What differs after that was edited, and becomes a branch.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction

from chats.answers.titles import first_words
from chats.models import Chat, Message
from personas.models import DEFAULT, Persona
from proxy.accounting.conversation_capture import CapturedConversation

CapturedMessage = tuple[str, str]
"""A role and a text."""

SOURCE = "proxy"
MOST_MESSAGES = 5_000

logger = logging.getLogger(__name__)


def import_captured(batch: list[CapturedConversation]) -> None:
    """Keep conversations; a batch that comes twice adds nothing the second time."""
    owners = {conversed.owner_id for conversed in batch}
    there = get_user_model().objects.in_bulk(owners)
    for conversed in batch:
        if owner := there.get(conversed.owner_id):
            try:
                _import_captured(conversed, owner)
            except DatabaseError:
                raise
            except Exception:
                # Its text is not for the log, and one such must not take the others along.
                logger.exception("A proxied conversation was not kept")


def _import_captured(conversed: CapturedConversation, owner: Any) -> None:
    said = [(role, _writable(text)) for role, text in conversed.messages()]
    if answer := _writable(conversed.answered()):
        said.append(("assistant", answer))
    origin = _origin(conversed, said)
    if origin is None or len(said) > MOST_MESSAGES:
        return
    with transaction.atomic():
        chat, _ = Chat.objects.get_or_create(
            owner=owner, origin=origin, defaults=_defaults(owner, said)
        )
        chat = Chat.objects.select_for_update().get(pk=chat.pk)
        # What its owner deleted stays deleted.
        if chat.deleted_at is None:
            _add(chat, said, conversed)


def _defaults(owner: Any, said: list[CapturedMessage]) -> dict[str, Any]:
    first = next(text for role, text in said if role == "user")
    persona = Persona.objects.resolve(owner, DEFAULT)
    return {
        "title": first_words(first),
        "source": SOURCE,
        "persona_version": persona.current if persona else None,
    }


def _origin(conversed: CapturedConversation, said: list[CapturedMessage]) -> str | None:
    """Return what the conversation is known by; None before it has an answer."""
    roles = [role for role, _ in said]
    if "user" not in roles or "assistant" not in roles[roles.index("user") :]:
        return None
    question = roles.index("user")
    answer = roles.index("assistant", question)
    known = "\0".join((_folded(said[question][1]), _folded(said[answer][1])))
    digest = hashlib.sha256(known.encode()).hexdigest()
    return f"proxy:{conversed.key_id}:{digest}"


def _add(chat: Chat, said: list[CapturedMessage], conversed: CapturedConversation) -> None:
    """Add what the chat has not; where the two part, a branch begins.

    Instructions are kept as they were at first: many have a date in them, and are no other talk.
    """
    is_new = not chat.messages_on().exists()
    talk = [each for each in said if each[0] != "system"]
    while True:
        shown = list(chat.messages_on().exclude(role="system"))
        same = _is_same_message(shown, talk)
        if same == len(talk):
            return
        if same == len(shown):
            break
        other = _matching_sibling(shown[same], talk[same])
        if other is None:
            chat.branch_at(shown[same])
            break
        chat.show(chat.branch_through(other))
    model = conversed.request.model.replace("\0", "")[:200]
    chat.extend(
        Message(
            role=role,
            content=text,
            model=model if role == "assistant" else "",
            created=conversed.created,
        )
        for role, text in (said if is_new else talk[same:])
    )


def _is_same_message(shown: list[Message], said: list[CapturedMessage]) -> int:
    """Return how many messages from the beginning are the same."""
    count = 0
    for message, (role, text) in zip(shown, said, strict=False):
        if message.role != role or _folded(message.content) != _folded(text):
            break
        count += 1
    return count


def _matching_sibling(message: Message, said: CapturedMessage) -> Message | None:
    """Return what stands in the message's place on another branch and is what was said."""
    for other in message.alternatives():
        if (other.role, _folded(other.content)) == (said[0], _folded(said[1])):
            return other
    return None


def _folded(text: str) -> str:
    """Clients change white space."""
    return " ".join(text.split())


def _writable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "ignore").decode().strip()
