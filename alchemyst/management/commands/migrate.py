from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from alchemyst.operations.exclusive import database_lock

WAITING = "Another process is migrating this database: waiting until it has ended."


class Command(migrate.Command):
    """Django's own, done by one process at a time: each of several machines may start with it."""

    # Not `handle`: the checks before it ask the database, and take a locked one for an old one.
    def execute(self, *args: Any, **options: Any) -> str | None:
        with database_lock(options["database"], on_wait=lambda: self.stderr.write(WAITING)):
            return super().execute(*args, **options)
