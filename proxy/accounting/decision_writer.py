"""Decision records on their way to the database, off the request's path.

The work of making a record is done on the thread that writes it. Keys without the setting never
come here.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.contrib.auth import get_user_model

from proxy.common.runtime.batch_writer import BatchWriter
from proxy.common.runtime.interval import Interval
from proxy.filtering.decisions import decisions_of
from proxy.filtering.result import FilterResult
from proxy.models import DecisionRecord

TEXTS = "texts"
"""The setting of a key whose records hold the messages' texts besides digests and scores."""

LONGEST_TEXT = 10_000
"""Of a longer text, so many characters are kept."""

# Requests wait with their bodies.
MOST_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """One request of a key that wants records."""

    request_id: str
    owner_id: int
    key_id: str
    setting: str
    created: datetime
    model: str
    filter_result: FilterResult

    @property
    def size(self) -> int:
        return len(self.filter_result.request.body)


expiry = Interval(seconds=3600)


def _insert(batch: list[DecisionEntry]) -> None:
    owners = {entry.owner_id for entry in batch}
    existing = set(get_user_model().objects.filter(pk__in=owners).values_list("pk", flat=True))
    records = [_record(entry) for entry in batch if entry.owner_id in existing]
    # A batch that was written just before its task was cancelled comes a second time.
    DecisionRecord.objects.bulk_create(records, ignore_conflicts=True)
    if expiry.is_due():
        DecisionRecord.objects.all().expire()


def _record(entry: DecisionEntry) -> DecisionRecord:
    result = entry.filter_result
    return DecisionRecord(
        request_id=entry.request_id,
        owner_id=entry.owner_id,
        key_id=entry.key_id,
        created=entry.created,
        # PostgreSQL takes no NUL in a text.
        model=entry.model.replace("\0", "")[:200],
        mode=result.mode,
        result=result.filtering,
        meaning=result.meaning,
        messages_before=result.messages_before,
        messages_after=result.messages_after,
        tokens_before=result.tokens_before,
        tokens_after=result.tokens_after,
        milliseconds=round(result.milliseconds, 2),
        packed=zlib.compress(msgspec.json.encode(_messages(result, entry.setting == TEXTS))),
    )


def _messages(result: FilterResult, with_texts: bool) -> list[dict[str, Any]]:
    """Return each message's decision, with a digest by which its owner knows it again."""
    request = result.request
    messages = []
    for decision in decisions_of(result):
        raw = request.raw_messages[decision.index]
        known = asdict(decision) | {"digest": hashlib.sha256(raw).hexdigest()}
        if with_texts:
            known["text"] = request.messages[decision.index].text[:LONGEST_TEXT]
        messages.append(known)
    return messages


queue = BatchWriter(
    "decision records",
    _insert,
    at_once=50,
    most=MOST_WAITING_BYTES,
    weight=lambda entry: entry.size,
)
"""Takes the requests of keys that want records."""
