"""All that is kept of a person, in one JSON file that flows while it is read."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder

from alchemyst.accounts import personal_data as accounts
from chats.transfer import personal_data as chats
from proxy import personal_data as proxy

# Each part is a list of rows; an app that keeps something of a person adds its own.
PARTS: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "account": accounts.account,
    "api_keys": accounts.api_keys,
    "audit": accounts.audit,
    "providers": proxy.providers,
    "usage": proxy.usage,
    "decisions": proxy.decisions,
    "chats": chats.chats,
    "messages": chats.messages,
}
# As much is read from the database at once.
CHUNK_BYTES = 64 * 1024


async def export(user_id: int) -> AsyncGenerator[bytes]:
    """Yield the file of this user, chunk by chunk."""
    chunks = _chunks(user_id)
    try:
        while chunk := await sync_to_async(next)(chunks):
            yield chunk
    finally:
        await sync_to_async(chunks.close)()


def _chunks(user_id: int) -> Generator[bytes]:
    chunk = ""
    for text in _texts(user_id):
        chunk += text
        if len(chunk) >= CHUNK_BYTES:
            yield chunk.encode()
            chunk = ""
    yield chunk.encode()
    # Nothing more: a StopIteration can't pass through a coroutine.
    yield b""


def _texts(user_id: int) -> Iterator[str]:
    encoder = DjangoJSONEncoder(ensure_ascii=False)
    before = "{"
    for name, rows in PARTS.items():
        yield f"{before}\n{json.dumps(name)}: ["
        before = ""
        for row in rows(user_id):
            yield f"{before}\n{encoder.encode(row)}"
            before = ","
        yield "]"
        before = ","
    yield "\n}\n"
