"""Delete the usage rows that are no longer kept."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from proxy.accounting import usage_writer


class Command(BaseCommand):
    help = (
        "Delete usage rows, and their sums by hour, older than ALCHEMYST_USAGE_DAYS; the sums by "
        "day stay. A server that is used does so by itself; run this where none is."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Deleted: {usage_writer.expire()}.")
