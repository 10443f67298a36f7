"""Revokes a user's access in the chats: answers under way stop, open sockets check again."""

from __future__ import annotations

import time

from chats.answers import run
from chats.eventlog import notify
from chats.models import Generation

_revoked_at: dict[int, float] = {}


def topic(user_id: int) -> str:
    """Return the topic that everything serving this user subscribes to."""
    return f"user {user_id}"


def revoke(user_id: int) -> None:
    """Stop the answers that are written for this user, and have open sockets check who is there.

    Called in every process; from any thread but an event loop's.
    """
    _revoked_at[user_id] = time.monotonic()
    run.stop_all(Generation.objects.filter(owner=user_id))
    notify.publish(topic(user_id))


def is_revoked_since(user_id: int, then: float) -> bool:
    """Whether access ended, or may have, since a moment of the monotonic clock."""
    return _revoked_at.get(user_id, float("-inf")) >= then
