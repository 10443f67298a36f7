"""Make the filter's encoder ready, so that no request finds it missing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from proxy.meaning import encoder, weights


class Command(BaseCommand):
    help = (
        "Quantize the weights of the filter's encoder, once on each machine: some seconds. A "
        "server that finds none does so itself, in the background."
    )
    # It needs no database and no server.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not encoder.is_wanted():
            return
        try:
            weights.make(encoder.folder())
        except weights.WeightsUnavailable as error:
            # The filter works without, so an installation goes on.
            self.stderr.write(f"The filter goes by words alone: {error}.")
