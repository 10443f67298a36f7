"""Delete the vectors that nobody used for as long as they are kept."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from proxy.models import TextVector


class Command(BaseCommand):
    help = (
        "Delete vectors of texts that nobody used for ALCHEMYST_PROXY_VECTOR_DAYS. A server that "
        "writes vectors does so every hour; run this where none does."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Deleted: {TextVector.objects.expire()}.")
