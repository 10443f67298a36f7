"""Events between processes: what one of them publishes, all act upon within a second.

This works without Redis too, because it must hold for a block: the events are rows of a table. The
process that publishes acts at once; the others read what is new, once a second.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction

from alchemyst.accounts.models.broadcast import BroadcastEvent

logger = logging.getLogger("alchemyst.accounts")

ACCESS_ENDED = "access ended"
"""All of a user's tokens, sessions and streams; the subject is the user's id."""

_subscribers: defaultdict[str, list[Callable[[str], None]]] = defaultdict(list)
_dispatched: set[int] | None = None
# More than are published within the second between two polls.
LOOKBACK_EVENTS = 200


def subscribe(topic: str, act: Callable[[str], None]) -> None:
    """Have `act` called with the subject of each event on the topic, from any thread."""
    if act not in _subscribers[topic]:
        _subscribers[topic].append(act)


def publish(topic: str, subject: str) -> None:
    """Send an event to every process, this one at once when the transaction is committed."""
    BroadcastEvent.publish(topic, subject)
    transaction.on_commit(partial(_dispatch, topic, subject))


def poll() -> None:
    """Dispatch new events. Those from before the process began are not for it."""
    global _dispatched
    events = BroadcastEvent.objects.order_by("-pk").values_list("pk", "topic", "subject")[
        :LOOKBACK_EVENTS
    ]
    before, _dispatched = _dispatched, {pk for pk, _, _ in events}
    if before is None:
        return
    for pk, topic, subject in reversed(events):
        # By the set, not by the highest number: a lower one may be committed later.
        if pk not in before:
            _dispatch(topic, subject)


def _dispatch(topic: str, subject: str) -> None:
    for act in _subscribers[topic]:
        try:
            act(subject)
        except Exception:
            logger.exception("An event of '%s' could not be handled", topic)


def on_access_ended(user_id: int, **kwargs: Any) -> None:
    """Have every process end what the user has under way."""
    publish(ACCESS_ENDED, str(user_id))
