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
        for finding in examine():
            is_amiss |= finding.state == "amiss"
            self.stdout.write(f"{MARKS[finding.state]} {finding.part:<13} {finding.text}")
            if finding.advice:
                self.stdout.write(f"{'':21}-> {finding.advice}")
        if is_amiss:
            sys.exit(1)
