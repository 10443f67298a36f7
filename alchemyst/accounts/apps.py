from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "alchemyst.accounts"
    label = "accounts"

    def ready(self) -> None:
        from alchemyst.accounts import schema  # noqa: F401 (drf-spectacular finds it by its import)
