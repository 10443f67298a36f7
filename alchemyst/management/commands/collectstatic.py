from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.management.commands import collectstatic

from proxy.common.runtime.folder_lock import folder_lock

WAITING = "Another process is collecting static files: waiting until it has ended."


class Command(collectstatic.Command):
    """Django's own, done by one process of a machine at a time."""

    def handle(self, **options: Any) -> str | None:
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        with folder_lock(settings.STATIC_ROOT, on_wait=lambda: self.stderr.write(WAITING)):
            return super().handle(**options)
