"""Turn the filter's switch, with an entry in the audit log."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from alchemyst.accounts.models import AuditEntry
from proxy.models import FilterSwitch


@transaction.atomic
def set_filter_switch(actor: Any, *, off: bool, reason: str) -> None:
    """Let every process pass requests through, or filter them again, within five seconds.

    `actor` is a user, or None for a command on the server.
    """
    switch = FilterSwitch.turn(off=off, reason=reason)
    action = "switched the filter off" if off else "switched the filter on"
    AuditEntry.note(actor, action, switch, reason=reason)
