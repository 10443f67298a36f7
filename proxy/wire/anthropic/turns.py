"""One message of Anthropic's format, read by itself.

It is known again by its normal form, not by its bytes: clients move their cache marks from turn to
turn, and write the same text as a string or as a block. What was read is remembered, by its bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from proxy.common.lru import LRUCache, digest_of
from proxy.errors import InvalidMessages
from proxy.relevance.messages import Message
from proxy.wire import token_count
from proxy.wire.anthropic import blocks
from proxy.wire.anthropic.blocks import Block
from proxy.wire.validation import decoded

ROLES: Final = ("user", "assistant", "system")
_SERVERS: Final = "server:"
_PLAIN_FIELDS: Final = {"role", "content"}
# What agents tell a model beside the user's words.
_REMINDER: Final = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, as far as it tells by itself: its place and its neighbours do the rest."""

    message: Message
    protected: Message
    """The same, where its place holds it."""

    calls: frozenset[str] = frozenset()
    """Of the client's tools: their results stand in the next message."""

    answers: frozenset[str] = frozenset()
    server_calls: frozenset[str] = frozenset()
    """Of the provider's tools: their results stand in the same message or in a later one."""

    server_answers: frozenset[str] = frozenset()
    is_aside: bool = False
    """Whether nothing in it is the user's own: only results and reminders."""

    is_bound: bool = False
    """Whether it has reasoning, which holds for what stands before it alone."""

    is_marked: bool = False
    """Whether the client marked it for the provider's cache."""

    is_compacted: bool = False
    """Whether it stands for all before it."""


_seen: LRUCache[Turn] = LRUCache(size=16 * 1024 * 1024)


def turn_of(raw: bytes, place: int) -> Turn:
    """Return what `raw` says; raises InvalidMessages, naming its place, where it is no message."""
    digest = digest_of(raw)
    return _seen.get_or_make(digest, lambda: _read(raw, f"messages[{place}]"), cost=len(raw) + 900)


def _read(raw: bytes, place: str) -> Turn:
    fields = decoded(msgspec.json.decode, raw, messages="messages")
    if not isinstance(fields, dict):
        raise InvalidMessages(f"{place} must be an object with role and content.", param=place)
    role = fields.get("role")
    if role not in ROLES:
        raise InvalidMessages(
            f"{place}.role must be one of {', '.join(ROLES)}.", param=f"{place}.role"
        )
    content = _blocks_of(fields, place)
    texts = [text for block in content if (text := blocks.text_of(block))]
    text = "\n".join(texts)
    thoughts = "".join(str(block.get("thinking") or "") for block in content)
    calls = [block for block in content if blocks.call_of(block)]
    clients = frozenset(blocks.call_of(each) for each in calls if blocks.is_clients_call(each))
    servers = frozenset(map(blocks.call_of, calls)) - clients
    answers = frozenset(_answered(content, is_clients=True))
    server_answers = frozenset(_answered(content, is_clients=False))
    message = Message(
        role=role,
        text=text,
        digest=_digest(fields, content),
        calls=_ties(clients, servers),
        answers=_ties(answers, server_answers),
        is_plain=fields.keys() <= _PLAIN_FIELDS and all(map(blocks.is_plain_text, content)),
        is_protected=not fields.keys() <= _PLAIN_FIELDS or any(map(blocks.is_opaque, content)),
        question=_question(content, text) if role == "user" else "",
        tokens=token_count.PER_MESSAGE + token_count.count(text) + token_count.count(thoughts),
    )
    return Turn(
        message,
        replace(message, is_protected=True),
        clients,
        answers,
        servers,
        server_answers,
        is_aside=role == "user" and bool(content) and all(map(_is_aside, content)),
        is_bound=any(block["type"] in blocks.THINKING for block in content),
        is_marked=any(map(blocks.is_marked, content)),
        is_compacted=any(block["type"] == blocks.COMPACTION for block in content),
    )


def _blocks_of(fields: Block, place: str) -> list[Block]:
    """Return the blocks of a content; a string is one of text."""
    content = fields.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(
        isinstance(block, dict) and isinstance(block.get("type"), str) for block in content
    ):
        raise InvalidMessages(
            f"{place}.content must be a string or an array of blocks that have a type.",
            param=f"{place}.content",
        )
    return content


def _answered(content: list[Block], *, is_clients: bool) -> list[str]:
    """Return the ids of the calls whose results these blocks are."""
    return [
        block["tool_use_id"]
        for block in content
        if isinstance(block.get("tool_use_id"), str)
        and (block["type"] == "tool_result") == is_clients
    ]


def _ties(clients: frozenset[str], servers: frozenset[str]) -> tuple[str, ...]:
    """Return ids that tie calls to results; a server's and a client's are never the same."""
    return (*sorted(clients), *(f"{_SERVERS}{id}" for id in sorted(servers)))


def _is_aside(block: Block) -> bool:
    return bool(block["type"] == "tool_result") or (
        block["type"] == "text" and not _without_reminders(blocks.text_of(block))
    )


def _without_reminders(text: str) -> str:
    return _REMINDER.sub("", text).strip()


def _question(content: list[Block], text: str) -> str:
    """Return the last text that is the user's own, where it is not all of the message's."""
    texts = (
        _without_reminders(blocks.text_of(b)) for b in reversed(content) if b["type"] == "text"
    )
    last = next(filter(None, texts), "")
    return "" if last == text.strip() else last


def _digest(fields: Block, content: list[Block]) -> bytes:
    """Return the same for a message in any of its forms, in all our processes."""
    bare = [blocks.unmarked(block) for block in content]
    is_text = len(bare) == 1 and blocks.is_plain_text(bare[0])
    normal = fields | {"content": bare[0]["text"] if is_text else bare}
    encoded = msgspec.json.encode(normal, order="sorted")
    return hashlib.blake2b(encoded, digest_size=16).digest()
