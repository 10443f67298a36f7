"""The event log: written down in batches of a tenth of a second, followed from any point.

Whoever runs an answer hands its events to an `EventLog`; they are shown once they are in the
database, so that nobody has seen what a crash could take back. Who follows an answer of this
process reads what was just written from memory, everybody else from the database. A notification
says when to read, and a short poll finds what was not notified.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone

from chats.eventlog import notify
from chats.eventlog.event import LogEvent
from chats.models import Event, Generation
from proxy.common.bulk_insert import bulk_insert, columns_of
from proxy.common.outages import outages
from proxy.common.runtime.per_loop import PerLoop
from proxy.common.runtime.retry import with_retries
from proxy.common.runtime.threads import on_database_thread, on_writer_thread

Type = Event.Type

BATCH_SECONDS = 0.1
TRIES, RETRY_SECONDS = 3, 0.6
# A follower of another process's answer polls after so long, even without a notification.
POLL_SECONDS, POLL_SECONDS_WITH_REDIS = 0.3, 1.0
# After so long without an event a follower gets a heartbeat.
HEARTBEAT_SECONDS = 15.0
AT_ONCE = 500

logger = logging.getLogger(__name__)


class LogUnavailable(Exception):
    """The events of an answer could not be written down; who follows it must look again later."""


class EventLog:
    """The events of one answer that this process writes; text waits to be joined with more."""

    def __init__(self, generation_id: UUID) -> None:
        self.generation_id = generation_id
        self.written: list[LogEvent] = []
        """What is in the database of it, in order."""
        self.text: list[str] = []
        """The answer so far, in pieces."""
        self.has_begun = False
        """Whether the database has it that its text has started."""
        self.is_unavailable = False
        """Whether the answer is no longer ours to write."""
        self.is_idle = asyncio.Event()
        """Set while nobody is writing what was taken."""
        self.is_idle.set()
        self._sequence = 0
        self._is_awaited = False
        """Whether the writer knows that there are new events."""
        self._pending: list[LogEvent] = []
        self._partial: list[str] = []
        self._partial_type = ""

    def delta(self, text: str) -> None:
        """Take a piece of the answer."""
        self.text.append(text)
        self._join(Type.DELTA, text)

    def reasoning(self, text: str) -> None:
        """Take a piece of the model's own reasoning."""
        self._join(Type.THINKING, text)

    def thinking(self, step: str, content: str) -> None:
        """Take a step, as a sentence."""
        self._flush_text()
        self._append(Type.THINKING, content, {"step": step})
        self._schedule()

    def drain(self) -> list[LogEvent]:
        """Return what waits to be written; whoever takes it writes it, or loses the log."""
        self._is_awaited = False
        self._flush_text()
        taken, self._pending = self._pending, []
        return taken

    @property
    def is_dirty(self) -> bool:
        return bool(self._pending or self._partial)

    def _join(self, kind: str, text: str) -> None:
        if self.is_unavailable:
            raise LogUnavailable
        if kind != self._partial_type:
            self._flush_text()
            self._partial_type = kind
        self._partial.append(text)
        if not self._is_awaited:
            self._schedule()

    def _schedule(self) -> None:
        self._is_awaited = True
        _writers.get().wake(self)

    def _flush_text(self) -> None:
        """Make an event of the text that was joined."""
        if self._partial:
            data = {"step": "reasoning"} if self._partial_type == Type.THINKING else None
            self._append(self._partial_type, "".join(self._partial), data)
            self._partial = []

    def _append(self, kind: str, content: str, data: dict[str, Any] | None) -> None:
        self._sequence += 1
        # PostgreSQL takes no NUL in a text.
        clean = content.replace("\0", "") if "\0" in content else content
        self._pending.append(LogEvent(self._sequence, kind, clean, data))


class Writer:
    """Writes the logs of one event loop: what came in a tenth of a second in one transaction."""

    def __init__(self) -> None:
        self._dirty: dict[UUID, EventLog] = {}
        self._task: asyncio.Task[None] | None = None

    def wake(self, log: EventLog) -> None:
        if log.generation_id not in self._dirty:
            self._dirty[log.generation_id] = log
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        while self._dirty:
            began = time.monotonic()
            logs, self._dirty = list(self._dirty.values()), {}
            await self._write([log for log in logs if log.is_dirty])
            await asyncio.sleep(max(0.0, BATCH_SECONDS - (time.monotonic() - began)))

    async def _write(self, logs: list[EventLog]) -> None:
        drained = [(log, log.drain()) for log in logs]
        for log in logs:
            log.is_idle.clear()
        batch = [
            (log.generation_id, bool(log.text) > log.has_begun, events) for log, events in drained
        ]
        running = await _insert_with_retry(batch)
        for (log, events), (_, starts, _) in zip(drained, batch, strict=True):
            if log.generation_id in running:
                log.written += events
                log.has_begun = log.has_begun or starts
            else:
                log.is_unavailable = True
            log.is_idle.set()
        notify.publish(*(str(log.generation_id) for log, _ in drained))


Batch = list[tuple[UUID, bool, list[LogEvent]]]
"""Of each answer: whether its text begins now, and its events."""


async def _insert_with_retry(batch: Batch) -> set[UUID]:
    """Write a batch, if need be with further tries; return whose answers are still ours."""
    try:
        return await with_retries(
            partial(_insert_batch, batch),
            on=DatabaseError,
            tries=TRIES,
            pause=RETRY_SECONDS,
            failed=_warn,
        )
    except DatabaseError:
        return set()
    except Exception:
        logger.exception("Events could not be written")
        return set()


def _warn(error: Exception) -> None:
    if not outages.report(error):
        logger.warning("Events could not be written: %s", type(error).__name__)


@on_writer_thread
def _insert_batch(batch: Batch) -> set[UUID]:
    with transaction.atomic():
        # Locked: nobody ends an answer between this look and what is written of it.
        running = set(
            Generation.objects.running()
            .filter(pk__in=[generation_id for generation_id, _, _ in batch])
            .order_by("pk")
            .select_for_update()
            .values_list("pk", flat=True)
        )
        _insert([(pk, event) for pk, _, events in batch if pk in running for event in events])
        if started := [pk for pk, starts, _ in batch if starts and pk in running]:
            Generation.objects.filter(pk__in=started, state=Generation.State.QUEUED).update(
                state=Generation.State.STREAMING, first_token=timezone.now()
            )
    return running


def _insert(events: list[tuple[UUID, LogEvent]]) -> None:
    """Write events by one statement: ten times a second, the ORM would cost as much as all else."""
    fields = [field for field in Event._meta.concrete_fields if not field.primary_key]
    now = timezone.now()
    rows = [
        [
            field.get_db_prep_save(value, connection)
            for field, value in zip(fields, (pk, *event, now), strict=True)
        ]
        for pk, event in events
    ]
    # Who tries a second time may have succeeded the first time.
    bulk_insert(Event, columns_of(Event), rows, on_conflict="DO NOTHING")


_writers = PerLoop(Writer)
# The logs that this process writes, for those that follow them here.
logs: dict[UUID, EventLog] = {}


async def follow(
    generation_id: UUID,
    after: int = 0,
    *,
    on_abandoned: Callable[[UUID], object],
    heartbeat: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[list[LogEvent], None]:
    """Yield the events after that one as they come, to the last; an empty list is a heartbeat.

    An answer whose process is gone is handed, by its id, to `on_abandoned`, which ends it. Raises
    LogUnavailable when the events can no longer be had.
    """
    with notify.subscribed(str(generation_id)) as subscription:
        spoke = time.monotonic()
        while True:
            events, has_ended = await _new_events(generation_id, after, on_abandoned)
            if events:
                after, spoke = events[-1].sequence, time.monotonic()
                yield events
            if has_ended:
                return
            if time.monotonic() - spoke >= heartbeat:
                spoke = time.monotonic()
                yield []
            if not events:
                left = heartbeat - (time.monotonic() - spoke)
                await subscription.wait(max(0.01, min(left, _poll_timeout(generation_id))))


def _poll_timeout(generation_id: UUID) -> float:
    if generation_id in logs:
        return HEARTBEAT_SECONDS
    return POLL_SECONDS_WITH_REDIS if settings.REDIS_URL else POLL_SECONDS


async def _new_events(
    generation_id: UUID, after: int, on_abandoned: Callable[[UUID], object]
) -> tuple[list[LogEvent], bool]:
    """Return what is known of an answer after that event, and whether that is all of it."""
    if (log := logs.get(generation_id)) is None:
        try:
            return await _read(generation_id, after, on_abandoned)
        except OperationalError:
            raise LogUnavailable from None
    if log.is_unavailable:
        raise LogUnavailable
    events = _since(log.written, after)
    return events, bool(events) and events[-1].type == Type.DONE


def _since(events: list[LogEvent], after: int) -> list[LogEvent]:
    if not events or events[-1].sequence <= after:
        return []
    return events[max(0, after - events[0].sequence + 1) :]


@on_database_thread
def _read(
    generation_id: UUID, after: int, on_abandoned: Callable[[UUID], object]
) -> tuple[list[LogEvent], bool]:
    # The state first: what ended before that look has all its events by the next one.
    generation = Generation.objects.filter(pk=generation_id).first()
    if generation is None:
        return [], True
    if generation.is_abandoned:
        on_abandoned(generation_id)
    events = Event.objects.filter(generation=generation_id, sequence__gt=after)
    rows = list(events.values_list("sequence", "type", "content", "data")[:AT_ONCE])
    log_events = [LogEvent(*row) for row in rows]
    is_all = bool(log_events) and log_events[-1].type == Type.DONE
    return _with_text(generation_id, log_events), is_all or (
        not log_events and not generation.is_running
    )


def _with_text(generation_id: UUID, events: Iterable[LogEvent]) -> list[LogEvent]:
    """Give the final event its text, which the log does not keep twice."""
    return [
        event._replace(content=_text_of(generation_id)) if event.type == Type.FINAL else event
        for event in events
    ]


def _text_of(generation_id: UUID) -> str:
    texts = Generation.objects.filter(pk=generation_id).values_list("message__content", flat=True)
    return texts.first() or ""
