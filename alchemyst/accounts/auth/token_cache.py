"""Which tokens this process has checked a moment ago, so that a warm request asks no database.

Only what was accepted is remembered, for `settings.AUTH_MEMORY_SECONDS` and never past the
token's own end. Whatever ends a token is heard here and obeyed at once in this process;
another process goes on accepting the token for AUTH_MEMORY_SECONDS at most.
"""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction

from alchemyst.accounts.auth.access import Access
from proxy.common.ttl_cache import TTLCache

MOST_TOKENS = 10_000


class Memory:
    """The tokens seen last, found by a digest of the whole token; safe to use from any thread."""

    def __init__(self, most: int = MOST_TOKENS) -> None:
        self._known: TTLCache[bytes, Access] = TTLCache(most)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def age(self) -> int:
        """Grows with every `forget`: what was read before one is not remembered after it."""
        return self._known.generation

    def recall(self, token: bytes) -> Access | None:
        """Return what `token` was found to be, if that is remembered still."""
        return self._known.get(hashlib.sha256(token).digest())

    def remember(self, token: bytes, access: Access, *, age: int) -> None:
        """Keep `access`, unless something was forgotten since the memory had this `age`."""
        seconds = min(settings.AUTH_MEMORY_SECONDS, access.expires - time.time())
        digest = hashlib.sha256(token).digest()
        self._known.put(digest, access, seconds=seconds, generation=age)

    def forget(self, user_id: int | None = None) -> None:
        """Forget the tokens of one user, or of everybody."""
        self._known.discard(lambda access: user_id in (None, access.user.pk))


memory = Memory()


def forget(user_id: int | None = None) -> None:
    """Forget the tokens of one user, or of everybody, now and again once the change is committed.

    In between, another thread may still read the old state and remember it.
    """
    memory.forget(user_id)
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(partial(memory.forget, user_id))


def on_access_changed(user_id: int | None, **kwargs: Any) -> None:
    """Forget what the signal says has changed."""
    forget(user_id)
