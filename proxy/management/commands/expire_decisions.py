"""Delete the decision records that are no longer kept."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from proxy.models import DecisionRecord


class Command(BaseCommand):
    help = (
        "Delete decision records older than ALCHEMYST_PROXY_RECORD_DAYS. A server that writes "
        "records does so every hour; run this where none does."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Deleted: {DecisionRecord.objects.all().expire()}.")
