"""Chats as files: our own JSON, which comes back whole; Markdown to read; OpenAI's messages.

A file flows while it is read: what stands in memory is a batch of messages, whatever its size.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any, NamedTuple

from channels.db import database_sync_to_async
from django.utils import timezone

from chats.models import Chat, Generation, Message
from chats.models.chat import ChatQuerySet
from chats.transfer.batches import iterate_chats, iterate_messages

FORMAT = "alchemyst-chats"
VERSION = 1
# About as much goes out at once.
PIECE_CHARACTERS = 64 * 1024


class Form(NamedTuple):
    """A way to write chats down."""

    content_type: str
    suffix: str
    write: Callable[[ChatQuerySet], Iterator[str]]


async def streamed(chats: ChatQuerySet, form: Form) -> AsyncGenerator[bytes]:
    """Yield the file piece by piece; between two no database connection is held."""
    chunks = _chunks(form.write(chats))
    while chunk := await database_sync_to_async(next)(chunks):
        yield chunk


def _chunks(texts: Iterator[str]) -> Generator[bytes]:
    pending: list[str] = []
    size = 0
    for text in texts:
        pending.append(text)
        size += len(text)
        if size >= PIECE_CHARACTERS:
            yield "".join(pending).encode()
            pending, size = [], 0
    yield "".join(pending).encode()
    # Nothing more: a StopIteration can't pass through a coroutine.
    yield b""


def as_json(chats: ChatQuerySet) -> Iterator[str]:
    """Everything, with all branches: what an import of ours makes the same chats from."""
    head = {"format": FORMAT, "version": VERSION, "exportedAt": timezone.now().isoformat()}
    yield f'{_json(head)[:-1]}, "chats": ['
    before = "\n"
    for chat in iterate_chats(chats):
        yield f'{before}{_json(chat_to_json(chat))[:-1]}, "messages": ['
        between = "\n"
        for message in iterate_messages(chat.messages.all()):
            yield f"{between}{_json(message_to_json(message))}"
            between = ",\n"
        yield "]}"
        before = ",\n"
    yield "\n]}\n"


def chat_to_json(chat: Chat) -> dict[str, Any]:
    """Return what our own format says of a chat, but for its messages."""
    last = chat.last_message()
    version = chat.persona_version
    return {
        "id": str(chat.pk),
        "title": chat.title,
        "hasOwnTitle": chat.has_own_title,
        "persona": version.persona.slug if version else None,
        "relevance": chat.relevance,
        "scope": chat.scope,
        "username": chat.username,
        "source": chat.source,
        "pinned": chat.is_pinned,
        "archived": chat.is_archived,
        "origin": chat.origin,
        "shownMessageId": str(last.pk) if last else None,
        "createdAt": chat.created.isoformat(),
        "updatedAt": chat.updated.isoformat(),
    }


def message_to_json(message: Message) -> dict[str, Any]:
    version = message.persona_version
    return {
        "id": str(message.pk),
        "parentId": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "content": message.content,
        "persona": version.persona.slug if version else None,
        "model": message.model,
        "fate": message.fate,
        "metadata": message.metadata,
        "createdAt": message.created.isoformat(),
    }


def as_markdown(chats: ChatQuerySet) -> Iterator[str]:
    """The shown branches, to be read."""
    before = ""
    for chat in iterate_chats(chats):
        version = chat.persona_version
        name = version.name if version else "Assistant"
        yield f"{before}# {_line(chat.title) or 'Untitled chat'}\n\n{chat.created:%Y-%m-%d}\n"
        for message in _messages_to_export(chat):
            speaker = {"user": "You", "system": "System"}.get(message.role, name)
            yield f"\n## {_line(speaker)}\n\n{message.content.strip()}\n"
        before = "\n---\n\n"


def as_openai(chats: ChatQuerySet) -> Iterator[str]:
    """The shown branches, a line each, as OpenAI's API takes messages."""
    for chat in iterate_chats(chats):
        yield '{"messages": ['
        between = ""
        for message in _messages_to_export(chat):
            yield between + _json({"role": message.role, "content": message.content})
            between = ", "
        yield "]}\n"


def _messages_to_export(chat: Chat) -> Iterator[Message]:
    """Yield the messages of the shown branch, without answers of which nothing came."""
    failed = Generation.State.FAILED
    for message in iterate_messages(chat.messages_on().exclude(generation__state=failed)):
        if message.content:
            yield message


def _line(text: str) -> str:
    return " ".join(text.split())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


FORMS = {
    "json": Form("application/json", "json", as_json),
    "markdown": Form("text/markdown; charset=utf-8", "md", as_markdown),
    "openai": Form("application/jsonl", "jsonl", as_openai),
}
