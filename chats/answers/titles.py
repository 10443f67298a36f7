"""Titles: a chat's first words at once, the model's few words soon after, a person's own for ever.

A title is asked for after the first answer, in the background, once. Whatever goes wrong, the
first words stay.
"""

from __future__ import annotations

import asyncio
import logging
import re
from uuid import UUID

from chats.answers.prompt import model_of
from chats.eventlog import notify
from chats.models import Chat, Generation
from personas.models import PersonaVersion
from proxy.common.runtime.per_loop import PerLoop
from proxy.common.runtime.threads import on_database_thread
from proxy.completions.completion import Completion
from proxy.completions.request import CompletionRequest, provider_from
from proxy.errors import ApiError
from proxy.wire.dialect import StreamEvent

LONGEST = 60
MOST_WORDS = 10
# Of the question and of the answer, so much is read.
READ_CHARACTERS = 600
SECONDS = 60
AT_ONCE = 2

TITLE_PROMPT = (
    "Write a title of two to six words for the conversation below. "
    "Answer with the title alone: no quotes, no full stop, in the conversation's language."
)

logger = logging.getLogger(__name__)
_concurrency = PerLoop(lambda: asyncio.Semaphore(AT_ONCE))


def first_words(text: str) -> str:
    """Return the beginning of a question as a title: whole words of its first line."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"\s+", " ", line.lstrip("#>*- "))
    if len(line) <= LONGEST:
        return line
    cut = line[:LONGEST].rsplit(" ", 1)[0]
    return f"{cut}…"


def sound(text: str) -> str:
    """Return a model's title without its trimmings; empty if it is none."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"^(?:title|titel)\s*:\s*", "", line.strip("#*_`\"'“”«» ."), flags=re.IGNORECASE)
    line = line.strip("\"'“”«» .:*_")
    is_title = 0 < len(line) <= LONGEST and len(line.split()) <= MOST_WORDS
    return line if is_title else ""


async def set_title(generation_id: UUID) -> None:
    """Title the chat of an answer, if it has none of its own yet."""
    job = await _ask(generation_id)
    if job is None:
        return
    chat_id, first_title, request = job
    parts: list[str] = []

    def on_event(event: StreamEvent) -> None:
        parts.append(event.text)

    async with _concurrency.get():
        completion = Completion(request)
        try:
            await completion.prepare()
            await completion.stream(on_event)
        except ApiError as error:
            logger.info("No title was made: %s", error.code)
            return
    if title := sound("".join(parts)):
        await _store_title(chat_id, first_title, title)
        notify.publish(str(chat_id))


@on_database_thread
def _ask(generation_id: UUID) -> tuple[UUID, str, CompletionRequest] | None:
    """Return the chat, its title so far and the request for a better one; None if it needs none."""
    generation = (
        Generation.objects.select_related("chat", "message__persona_version__provider")
        .filter(pk=generation_id)
        .first()
    )
    if generation is None or generation.chat.has_own_title:
        return None
    chat, answer = generation.chat, generation.message
    first = list(chat.messages_on(answer.branch)[:3])
    usual = {"", first_words(first[0].content)}
    if len(first) != 2 or first[1].pk != answer.pk or chat.title not in usual:
        return None
    conversation = "\n\n".join(
        f"{message.role}: {message.content[:READ_CHARACTERS]}" for message in first
    )
    version: PersonaVersion | None = answer.persona_version
    request = CompletionRequest(
        provider=provider_from(version.provider if version else None),
        model=model_of(version),
        system="",
        messages=[("user", f"{TITLE_PROMPT}\n\n{conversation}\n\nTitle:")],
        user_id=generation.owner_id,
        request_id=f"title_{generation.pk.hex}",
        endpoint="title",
        temperature=0.2,
        max_tokens=24,
        seconds=SECONDS,
    )
    return chat.pk, chat.title, request


def _store(chat_id: UUID, first: str, title: str) -> None:
    """Replace the first words; a title that came in the meantime stays."""
    Chat.objects.filter(pk=chat_id, title=first, has_own_title=False).update(title=title)


_store_title = on_database_thread(_store, at_most=1, writes=True)
