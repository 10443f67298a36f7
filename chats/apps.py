from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ChatsConfig(AppConfig):
    name = "chats"

    def ready(self) -> None:
        from chats import proxied, search  # noqa: F401 (the lookup is known by its import)
        from proxy import conversed

        conversed.keep_by(proxied.keep)
        post_migrate.connect(_repair_search, sender=self)


def _repair_search(using: str, **kwargs: Any) -> None:
    from chats import indexing

    indexing.repair(connections[using])
