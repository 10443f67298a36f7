"""Imports: a file that somebody sent, and how far it has been read."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy
from uuid_utils.compat import uuid7

from chats.models import lease
from proxy.common.access import User, id_of

LEASE = timedelta(minutes=5)
MOST_SKIPS_TOLD = 200
PART_BYTES = 1024 * 1024


class Stopped(Exception):
    """Its owner wants the import to end; nothing of it is written any more."""


class ImportJobQuerySet(models.QuerySet["ImportJob"]):
    def of(self, user: User | int) -> ImportJobQuerySet:
        return self.filter(owner=id_of(user))

    def unfinished(self) -> ImportJobQuerySet:
        return self.filter(state__in=ImportJob.UNFINISHED)

    def stale(self) -> ImportJobQuerySet:
        """Those that nobody works on, and nobody has for a while."""
        return self.unfinished().exclude(lease.held())

    def claim(self, job_id: Any) -> ImportJob | None:
        """Return a job that is ours alone from now on; None if it is done, or somebody else's."""
        free = Q(state=ImportJob.State.QUEUED) | ~lease.held()
        claimed = (
            self.unfinished()
            .filter(free, pk=job_id)
            .update(
                state=ImportJob.State.RUNNING,
                lease_until=timezone.now() + LEASE,
                attempts=F("attempts") + 1,
            )
        )
        return self.get(pk=job_id) if claimed else None

    def request_stop(self, *, keep: bool) -> bool:
        """Have an unfinished import end, with what was imported kept or deleted.

        Whoever works on it notices before the next conversation. Says whether there was one.
        """
        stop = ImportJob.Stop.KEEP if keep else ImportJob.Stop.DELETE
        return bool(self.unfinished().update(stop=stop))


class ImportJob(models.Model):
    """One file of chats on its way into the history of its owner."""

    class State(models.TextChoices):
        QUEUED = "queued", gettext_lazy("queued")
        RUNNING = "running", gettext_lazy("running")
        COMPLETE = "complete", gettext_lazy("complete")
        FAILED = "failed", gettext_lazy("failed")
        """The file could not be read at all; `error` says why."""
        STOPPED = "stopped", gettext_lazy("stopped")
        """Its owner stopped it."""

    class Stop(models.TextChoices):
        """What becomes of the chats of an import that its owner stops."""

        KEEP = "keep"
        DELETE = "delete"

    UNFINISHED = (State.QUEUED, State.RUNNING)
    PROGRESS = (
        "lease_until",
        "attempts",
        "format",
        "total",
        "processed",
        "imported",
        "messages",
        "skipped",
        "skips",
    )

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="imports")
    state = models.CharField(max_length=20, choices=State.choices, default=State.QUEUED)
    stop = models.CharField(
        max_length=10,
        choices=Stop.choices,
        blank=True,
        default="",
        db_default="",
        help_text="How its owner wants it to end.",
    )
    lease_until = models.DateTimeField(help_text="Renewed by who works on it.")
    format = models.CharField(max_length=40, blank=True, help_text="Whose file it was.")
    attempts = models.PositiveIntegerField(default=0, help_text="Since it last got on.")
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    total = models.PositiveIntegerField(default=0, help_text="Conversations in the file.")
    processed = models.PositiveIntegerField(default=0)
    imported = models.PositiveIntegerField(default=0)
    messages = models.PositiveIntegerField(default=0, help_text="Messages imported.")
    skipped = models.PositiveIntegerField(default=0)
    skips = models.JSONField(
        default=list, help_text="What was skipped, and why: the first ones, with their titles."
    )
    error = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True, blank=True)

    objects = ImportJobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner"],
                condition=Q(state__in=("queued", "running")),
                name="import_one_unfinished_of_owner",
            )
        ]

    def __str__(self) -> str:
        return f"Import {self.pk}: {self.state}"

    @classmethod
    @transaction.atomic
    def begin(cls, owner_id: Any, chunks: Iterable[bytes]) -> ImportJob:
        """Keep a file to be imported. Raises IntegrityError while another one is not finished."""
        job = cls.objects.create(owner_id=owner_id, lease_until=timezone.now() + LEASE)
        for number, chunk in enumerate(chunks):
            job.size += len(chunk)
            ImportPart.objects.create(job=job, number=number, data=zlib.compress(chunk, 1))
        job.save(update_fields=["size"])
        return job

    def file(self) -> bytearray:
        """Return the whole file."""
        content = bytearray()
        for part in self.parts.order_by("number").iterator(1):
            content += zlib.decompress(part.data)
        return content

    def skip(self, title: str, reason: str) -> None:
        """Note that a conversation was left out."""
        self.skipped += 1
        self.note(title, reason)

    def note(self, title: str, reason: str) -> None:
        """Report why something was left out, a conversation or a part of one."""
        if len(self.skips) < MOST_SKIPS_TOLD:
            self.skips.append({"title": title[:200], "reason": reason[:300]})

    def keep_progress(self) -> None:
        """Write down how far it is, and that it is being worked on; raises Stopped."""
        self.lease_until, self.attempts = timezone.now() + LEASE, 0
        progress = {name: getattr(self, name) for name in self.PROGRESS}
        if not ImportJob.objects.filter(pk=self.pk, stop="").update(**progress):
            raise Stopped

    def renew_lease(self) -> None:
        """Say that it is being worked on."""
        ImportJob.objects.filter(pk=self.pk).update(lease_until=timezone.now() + LEASE)

    def release(self) -> None:
        """Leave the rest to another process, at once."""
        released = {"state": self.State.QUEUED, "lease_until": timezone.now(), "attempts": 0}
        ImportJob.objects.filter(pk=self.pk).update(**released)

    def finish(self, *, error: str = "") -> None:
        """Let go of the file; what became of it stays."""
        self.state = self.State.FAILED if error else self.State.COMPLETE
        if self.stop:
            self.state = self.State.STOPPED
        self.error, self.finished = error[:300], timezone.now()
        with transaction.atomic():
            self.save()
            self.parts.all()._raw_delete(self.parts.db)


class ImportPart(models.Model):
    """A piece of a file, compressed."""

    job = models.ForeignKey(ImportJob, models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="import_part_number")]

    def __str__(self) -> str:
        return f"{self.number} of {self.job_id}"
