"""Which tokens this process has checked a moment ago, so that a warm request asks no database.

Only what was accepted is remembered, for `settings.AUTH_MEMORY_SECONDS` and never past the
token's own end. Whatever ends a token is heard here and obeyed at once in this process;
another process goes on accepting the token for AUTH_MEMORY_SECONDS at most.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from functools import partial
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import transaction

from alchemyst.accounts.access import Access

MOST_TOKENS = 10_000


class Memory:
    """The tokens seen last, found by a digest of the whole token; safe to use from any thread."""

    def __init__(self, most: int = MOST_TOKENS) -> None:
        self._most = most
        self._known: OrderedDict[bytes, tuple[float, Access]] = OrderedDict()
        self._lock = Lock()
        # Grows with every `forget`: what was read from the database before one is out of date.
        self.age = 0

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, token: bytes) -> Access | None:
        """Return what `token` was found to be, if that is remembered still."""
        digest = hashlib.sha256(token).digest()
        with self._lock:
            if not (found := self._known.get(digest)):
                return None
            until, access = found
            if time.time() >= until:
                del self._known[digest]
                return None
            self._known.move_to_end(digest)
            return access

    def remember(self, token: bytes, access: Access, *, age: int) -> None:
        """Keep `access`, unless something was forgotten since the memory had this `age`."""
        until = min(time.time() + settings.AUTH_MEMORY_SECONDS, access.expires)
        with self._lock:
            if age != self.age:
                return
            self._known[hashlib.sha256(token).digest()] = until, access
            if len(self._known) > self._most:
                self._known.popitem(last=False)

    def forget(self, user_id: int | None = None) -> None:
        """Forget the tokens of one user, or of everybody."""
        with self._lock:
            self.age += 1
            for digest, (_, access) in list(self._known.items()):
                if user_id in (None, access.user.pk):
                    del self._known[digest]


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
