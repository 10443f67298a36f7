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
    owners = {conversation.owner_id for conversation in batch}
    users = get_user_model().objects.in_bulk(owners)
    for conversation in batch:
        if owner := users.get(conversation.owner_id):
            try:
                _import_captured(conversation, owner)
            except DatabaseError:
                raise
            except Exception:
                # Its text is not for the log, and one such must not take the others along.
                logger.exception("A proxied conversation was not kept")


def _import_captured(conversation: CapturedConversation, owner: Any) -> None:
    messages = [(role, _writable(text)) for role, text in conversation.messages()]
    if answer := _writable(conversation.answered()):
        messages.append(("assistant", answer))
    origin = _origin(conversation, messages)
    if origin is None or len(messages) > MOST_MESSAGES:
        return
    with transaction.atomic():
        chat, _ = Chat.objects.get_or_create(
            owner=owner, origin=origin, defaults=_defaults(owner, messages)
        )
        chat = Chat.objects.select_for_update().get(pk=chat.pk)
        # What its owner deleted stays deleted.
        if chat.deleted_at is None:
            _add(chat, messages, conversation)


def _defaults(owner: Any, messages: list[CapturedMessage]) -> dict[str, Any]:
    first = next(text for role, text in messages if role == "user")
    persona = Persona.objects.resolve(owner, DEFAULT)
    return {
        "title": first_words(first),
        "source": SOURCE,
        "persona_version": persona.current if persona else None,
    }


def _origin(conversation: CapturedConversation, messages: list[CapturedMessage]) -> str | None:
    """Return what the conversation is known by; None before it has an answer."""
    roles = [role for role, _ in messages]
    if "user" not in roles or "assistant" not in roles[roles.index("user") :]:
        return None
    question = roles.index("user")
    answer = roles.index("assistant", question)
    opening = "\0".join((_folded(messages[question][1]), _folded(messages[answer][1])))
    digest = hashlib.sha256(opening.encode()).hexdigest()
    return f"proxy:{conversation.key_id}:{digest}"


def _add(chat: Chat, captured: list[CapturedMessage], conversation: CapturedConversation) -> None:
    """Add what the chat has not; where the two part, a branch begins.

    Instructions are kept as they were at first: many have a date in them, and are no other talk.
    """
    is_new = not chat.messages_on().exists()
    talk = [each for each in captured if each[0] != "system"]
    while True:
        branch = list(chat.messages_on().exclude(role="system"))
        common = _common_length(branch, talk)
        if common == len(talk):
            return
        if common == len(branch):
            break
        other = _matching_sibling(branch[common], talk[common])
        if other is None:
            chat.branch_at(branch[common])
            break
        chat.show(chat.branch_through(other))
    model = conversation.request.model.replace("\0", "")[:200]
    chat.extend(
        Message(
            role=role,
            content=text,
            model=model if role == "assistant" else "",
            created=conversation.created,
        )
        for role, text in (captured if is_new else talk[common:])
    )


def _common_length(branch: list[Message], captured: list[CapturedMessage]) -> int:
    """Return how many messages the two have in common, from the beginning."""
    count = 0
    for message, (role, text) in zip(branch, captured, strict=False):
        if message.role != role or _folded(message.content) != _folded(text):
            break
        count += 1
    return count


def _matching_sibling(message: Message, captured: CapturedMessage) -> Message | None:
    """Return the alternative to `message`, on another branch, that equals the captured one."""
    for other in message.alternatives():
        if (other.role, _folded(other.content)) == (captured[0], _folded(captured[1])):
            return other
    return None


def _folded(text: str) -> str:
    """Clients change white space."""
    return " ".join(text.split())


def _writable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "ignore").decode().strip()
