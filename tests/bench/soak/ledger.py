"""Whether what was promised is in the database, once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from tests.bench.soak.traffic import Promises
from tests.chats.processes import Installation

WRITTEN_AFTER = 5.0
"""Seconds after which a call's row is written: a process that is killed may take younger ones."""
_LOOK = """
import json
from chats.models import Generation, ImportJob, Message
from proxy.models import UsageRecord
print(json.dumps({
    "questions": list(Message.objects.filter(role="user").values_list("content", flat=True)),
    "answered": list(Generation.objects.filter(state="complete")
        .values_list("message__parent__content", flat=True)),
    "running": Generation.objects.running().count() + ImportJob.objects.unfinished().count(),
    "failed": ImportJob.objects.filter(state="failed").count(),
    "calls": list(UsageRecord.objects.values_list("request_id", flat=True)),
}))
"""


class Ledger:
    """What stands in the database, beside what was promised."""

    def __init__(self, installation: Installation) -> None:
        self.rows = json.loads(installation.shell(_LOOK).splitlines()[-1])

    @property
    def is_settled(self) -> bool:
        return self.rows["running"] == 0

    def faults(self, promises: Promises, deaths: list[float]) -> Iterator[str]:
        """Yield what was lost or doubled. `deaths`: when web processes were killed."""
        stored = Counter(self.rows["questions"])
        yield from _lost("questions", promises.questions, stored)
        yield from _lost("imported chats", promises.imported, stored)
        yield from _lost("answers", promises.answers, Counter(self.rows["answered"]))
        if doubled := [text for text, times in stored.items() if times > 1]:
            yield f"{len(doubled)} questions are there twice, such as {doubled[0]!r}"
        if strange := stored.keys() - {*promises.unsure, *promises.imported}:
            yield f"{len(strange)} questions were never asked"
        calls = Counter(self.rows["calls"])
        if doubled := [name for name, times in calls.items() if name and times > 1]:
            yield f"{len(doubled)} calls have two rows"
        due = [
            name
            for name, moment in promises.calls.items()
            if not any(0 <= death - moment < WRITTEN_AFTER for death in deaths)
        ]
        yield from _lost("calls' rows", due, calls)
        if self.rows["failed"]:
            yield f"{self.rows['failed']} imports failed"
        if not self.is_settled:
            yield f"{self.rows['running']} answers or imports never ended"


def _lost(what: str, promised: list[str], stored: Counter[str]) -> Iterator[str]:
    if lost := [each for each in promised if each not in stored]:
        yield f"{len(lost)} of {len(promised)} {what} are lost, such as {lost[0]!r}"
