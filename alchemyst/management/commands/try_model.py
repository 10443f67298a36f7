"""Find out whether the built-in model works on this machine."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from proxy.upstream import builtin, builtin_state


class Command(BaseCommand):
    help = (
        "Start the built-in model, ask it for a token, end it, and say what came of it: with 1 at "
        "the end where it fails. `/readyz` tells the result from then on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="not if it is known to work")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        if settings.C1_BASE_URL or (once and builtin_state.recall().status == "ok"):
            return
        if failure := builtin.try_once():
            self.stderr.write(f"{failure} All else works without it.")
            sys.exit(1)
        self.stdout.write("The built-in model works on this machine.")
