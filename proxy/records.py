"""Decision records on their way to the database, off the request's path.

As with usage rows, requests are noted in memory, bounded, and written in batches by one task; what
does not fit is lost and counted, never a request delayed. The work of making a record is done
on the thread that writes it. Keys without the setting never come here.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import zlib
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from proxy.context import Context
from proxy.decisions import decided
from proxy.models import DecisionRecord

logger = logging.getLogger("proxy.records")

TEXTS = "texts"
"""The setting of a key whose records hold the messages' texts besides digests and scores."""

LONGEST_TEXT = 10_000
"""Of a longer text, so many characters are kept."""

# Requests wait with their bodies.
MOST_WAITING_BYTES = 64 * 1024 * 1024
BATCH = 50
PAUSE_SECONDS = 1.0
TRIES = 3
EXPIRE_EVERY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Noted:
    """One request of a key that wants records."""

    request_id: str
    owner_id: int
    key_id: str
    setting: str
    created: datetime
    model: str
    context: Context

    @property
    def size(self) -> int:
        return len(self.context.request.body)


_waiting: deque[Noted] = deque()
_waiting_bytes = 0
_writer: asyncio.Task[None] | None = None
_expired_at = 0.0
lost = 0


def note(noted: Noted) -> None:
    """Take a request; its record is in the database within seconds. Never waits, never raises."""
    global _waiting_bytes, _writer, lost
    if _waiting_bytes + noted.size > MOST_WAITING_BYTES:
        lost += 1
        # At 1, 2, 4, 8, ...: who loses many need not read of each.
        if lost.bit_count() == 1:
            logger.error("%d decision records were lost: too many wait to be written", lost)
        return
    _waiting.append(noted)
    _waiting_bytes += noted.size
    loop = asyncio.get_running_loop()
    if _writer is None or _writer.done() or _writer.get_loop() is not loop:
        _writer = loop.create_task(_write_soon())


async def close() -> None:
    """Write what is waiting, now."""
    global _writer
    writer, _writer = _writer, None
    if writer and not writer.done() and writer.get_loop() is asyncio.get_running_loop():
        writer.cancel()
        await asyncio.wait([writer])
    await _write_all()


async def _write_soon() -> None:
    await asyncio.sleep(PAUSE_SECONDS)
    await _write_all()


async def _write_all() -> None:
    """Write until nothing waits; a batch counts as waiting until it is written or lost."""
    global _waiting_bytes, lost
    while _waiting:
        batch = [_waiting.popleft() for _ in range(min(BATCH, len(_waiting)))]
        try:
            await _written(batch)
        except asyncio.CancelledError:
            _waiting.extendleft(reversed(batch))
            raise
        except DatabaseError as error:
            lost += len(batch)
            logger.error("%d decision records could not be written: %s", lost, type(error).__name__)
        _waiting_bytes -= sum(noted.size for noted in batch)


async def _written(batch: list[Noted]) -> None:
    for left in reversed(range(TRIES)):
        try:
            await database_sync_to_async(_insert)(batch)
            return
        except DatabaseError:
            if not left:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


def _insert(batch: list[Noted]) -> None:
    global _expired_at
    owners = {noted.owner_id for noted in batch}
    there = set(get_user_model().objects.filter(pk__in=owners).values_list("pk", flat=True))
    made = [_record(noted) for noted in batch if noted.owner_id in there]
    # A batch that was written just before its task was cancelled comes a second time.
    DecisionRecord.objects.bulk_create(made, ignore_conflicts=True)
    if time.monotonic() - _expired_at > EXPIRE_EVERY_SECONDS or not _expired_at:
        _expired_at = time.monotonic()
        DecisionRecord.objects.all().expire()


def _record(noted: Noted) -> DecisionRecord:
    context = noted.context
    return DecisionRecord(
        request_id=noted.request_id,
        owner_id=noted.owner_id,
        key_id=noted.key_id,
        created=noted.created,
        # PostgreSQL takes no NUL in a text.
        model=noted.model.replace("\0", "")[:200],
        mode=context.mode,
        result=context.filtering,
        messages_before=context.messages_before,
        messages_after=context.messages_after,
        tokens_before=context.tokens_before,
        tokens_after=context.tokens_after,
        milliseconds=round(context.milliseconds, 2),
        packed=zlib.compress(msgspec.json.encode(_messages(context, noted.setting == TEXTS))),
    )


def _messages(context: Context, with_texts: bool) -> list[dict[str, Any]]:
    """Return each message's decision, with a digest by which its owner knows it again."""
    request = context.request
    found = []
    for decision in decided(context):
        raw = request.raw_messages[decision.index]
        known = asdict(decision) | {"digest": hashlib.sha256(raw).hexdigest()}
        if with_texts:
            known["text"] = request.messages[decision.index].text[:LONGEST_TEXT]
        found.append(known)
    return found
