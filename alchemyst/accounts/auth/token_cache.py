"""Which tokens this process has checked a moment ago, so that a warm request asks no database.

Only accepted tokens are cached, for `settings.AUTH_MEMORY_SECONDS` and never past the token's own
end. Whatever ends a token invalidates it at once in this process; another process goes on
accepting the token for AUTH_MEMORY_SECONDS at most.
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


class TokenCache:
    """What tokens allow, by a digest of the whole token; safe to use from any thread."""

    def __init__(self, most: int = MOST_TOKENS) -> None:
        self._cache: TTLCache[bytes, Access] = TTLCache(most)

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def generation(self) -> int:
        """Grows with every `forget`: what was read before one is not stored after it."""
        return self._cache.generation

    def get(self, token: bytes) -> Access | None:
        """Return what `token` allows, if that is cached."""
        return self._cache.get(hashlib.sha256(token).digest())

    def put(self, token: bytes, access: Access, *, generation: int) -> None:
        """Store `access`, unless something was forgotten since that generation."""
        seconds = min(settings.AUTH_MEMORY_SECONDS, access.expires - time.time())
        digest = hashlib.sha256(token).digest()
        self._cache.put(digest, access, seconds=seconds, generation=generation)

    def forget(self, user_id: int | None = None) -> None:
        """Forget the tokens of one user, or of everybody."""
        self._cache.discard(lambda access: user_id in (None, access.user.pk))


cached_tokens = TokenCache()


def forget(user_id: int | None = None) -> None:
    """Forget the tokens of one user, or of everybody, now and again once the change is committed.

    In between, another thread may still read the old state and store it.
    """
    cached_tokens.forget(user_id)
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(partial(cached_tokens.forget, user_id))


def on_access_changed(user_id: int | None, **kwargs: Any) -> None:
    """Forget what the signal says has changed."""
    forget(user_id)
