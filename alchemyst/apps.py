"""The roof as an app, with commands and no models; and Django's admin with our own site."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class RoofConfig(AppConfig):
    name = "alchemyst"
    label = "roof"

    def ready(self) -> None:
        # Models are there only now.
        from alchemyst import wiring
        from alchemyst.operations import telemetry

        wiring.connect()
        telemetry.begin()


class StaffConfig(AdminConfig):
    default_site = "alchemyst.staff.site.StaffSite"
