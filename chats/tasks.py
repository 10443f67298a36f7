"""Background work on the chats, by a worker or in a web process. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from chats import retention
from chats.imports import run
from chats.models import ImportJob
from proxy.common.runtime import clock


@shared_task
def clean_up() -> None:
    """Let go of what is kept no longer."""
    retention.expire_chats()
    retention.empty_trash()
    retention.expire_events()
    retention.expire_imports()


@shared_task
def import_chats(job_id: str) -> None:
    """Do an import that somebody asked for."""
    run.run(job_id)


@shared_task
def resume_imports() -> None:
    """Go on with imports whose process is gone; not by a clock that was set a moment ago."""
    if clock.has_jumped():
        return
    for job in ImportJob.objects.stale():
        import_chats.delay(str(job.pk))
