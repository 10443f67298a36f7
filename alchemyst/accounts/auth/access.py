"""What a token allows, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from alchemyst.accounts.models import User
from alchemyst.accounts.models.quota_limit import QuotaLimit


@dataclass(frozen=True, slots=True)
class Access:
    """What a token allows. It is shared by requests: read `user`, never change or save it."""

    user: User
    scopes: frozenset[str]
    # The relevance mode that the key, or else its user, has chosen; "" if neither has.
    relevance: str
    # The API key's id; None for a JWT.
    key_id: UUID | None
    # When the token ends, in seconds since 1970; infinity if never.
    expires: float
    # What the key's own lists permit on the proxy; None permits everything.
    allowed_models: tuple[str, ...] | None = None
    allowed_hosts: tuple[str, ...] | None = None
    # What is kept of the filter's decisions: "" for nothing, "scores", or "texts" for all.
    records: str = ""
    # The limits that staff have set on this user, their groups and this key.
    limits: tuple[QuotaLimit, ...] = ()
    # The cost preset that the key, or else its user, has chosen; "" if neither has.
    cost: str = ""
    # Whether the key's conversations through the proxy are kept as chats.
    keeps_chats: bool = False
