from __future__ import annotations

from typing import Any
from uuid import UUID

from django.apps import AppConfig
from django.db import connections, transaction
from django.db.models.signals import post_migrate


class ChatsConfig(AppConfig):
    name = "chats"

    def ready(self) -> None:
        from chats import proxied, search  # noqa: F401 (the lookup is known by its import)
        from chats.models.chat import chat_changed
        from proxy import conversed

        conversed.keep_by(proxied.keep)
        chat_changed.connect(_ring)
        post_migrate.connect(_repair_search, sender=self)


def _ring(chat_id: UUID, **kwargs: Any) -> None:
    """Wake who shows the chat, once its change can be read."""
    from chats import bell

    transaction.on_commit(lambda: bell.ring(str(chat_id)))


def _repair_search(using: str, **kwargs: Any) -> None:
    from chats import indexing

    indexing.repair(connections[using])
