"""Who may call, and how much: users, their API keys, the limits that staff set."""

from __future__ import annotations

from alchemyst.accounts.models.account import (
    KEY_PREFIX,
    MOST_KEYS,
    RECORDS,
    SCOPES,
    ApiKey,
    InvalidatingQuerySet,
    User,
    cost_presets,
)
from alchemyst.accounts.models.audit import AuditEntry
from alchemyst.accounts.models.broadcast import BroadcastEvent
from alchemyst.accounts.models.limit import Limit, LimitCount, LimitHold

__all__ = [
    "KEY_PREFIX",
    "MOST_KEYS",
    "RECORDS",
    "SCOPES",
    "ApiKey",
    "AuditEntry",
    "BroadcastEvent",
    "InvalidatingQuerySet",
    "Limit",
    "LimitCount",
    "LimitHold",
    "User",
    "cost_presets",
]
