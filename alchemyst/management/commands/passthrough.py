"""Switch the filter off and on again, for the whole installation."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from alchemyst.operations.filter_switch import set_filter_switch
from proxy.models import FilterSwitch


class Command(BaseCommand):
    help = (
        "With 'on', every process lets requests pass unfiltered within five seconds; with 'off', "
        "they are filtered again. Without either, say which it is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("state", nargs="?", choices=["on", "off"])
        parser.add_argument("--reason", default="", help="why, for the audit log")

    def handle(self, *args: Any, state: str | None, reason: str, **options: Any) -> None:
        if state:
            set_filter_switch(None, off=state == "on", reason=reason)
        is_off = FilterSwitch.objects.filter(is_off=True).exists()
        self.stdout.write(
            "Pass-through is on: nothing is filtered."
            if is_off
            else "Pass-through is off: the filter works."
        )
