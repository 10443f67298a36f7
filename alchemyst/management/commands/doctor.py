"""Say what works, what does not, and what to do."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from alchemyst.operations.doctor import examine

MARKS = {"well": "  ok  ", "note": " look ", "amiss": "amiss "}


class Command(BaseCommand):
    help = "Try database, Redis, worker, model, outbound guard and clock, and say what to do."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        is_amiss = False
        for found in examine():
            is_amiss |= found.state == "amiss"
            self.stdout.write(f"{MARKS[found.state]} {found.part:<13} {found.said}")
            if found.advice:
                self.stdout.write(f"{'':21}-> {found.advice}")
        if is_amiss:
            sys.exit(1)
