"""How processes hear of each other: what one of them publishes, all act upon within a second.

Without Redis too, because it must hold for a block: the table is the wire. The process that
publishes acts at once; the others read what is new, once a second.
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
_seen: set[int] | None = None
# More than are published within the second between two looks.
LOOKBACK_SECONDS = 200


def subscribe(topic: str, act: Callable[[str], None]) -> None:
    """Have `act` called with the subject of each news on the topic, from any thread."""
    if act not in _subscribers[topic]:
        _subscribers[topic].append(act)


def publish(topic: str, subject: str) -> None:
    """Tell every process, this one at once when the transaction is committed."""
    BroadcastEvent.publish(topic, subject)
    transaction.on_commit(partial(_dispatch, topic, subject))


def poll() -> None:
    """Act upon what is new. What was there before the process began is none of its business."""
    global _seen
    found = BroadcastEvent.objects.order_by("-pk").values_list("pk", "topic", "subject")[
        :LOOKBACK_SECONDS
    ]
    before, _seen = _seen, {pk for pk, _, _ in found}
    if before is None:
        return
    for pk, topic, subject in reversed(found):
        # By the set, not by the highest number: who took a lower one may be committed later.
        if pk not in before:
            _dispatch(topic, subject)


def _dispatch(topic: str, subject: str) -> None:
    for act in _subscribers[topic]:
        try:
            act(subject)
        except Exception:
            logger.exception("News of '%s' could not be acted upon", topic)


def on_access_ended(user_id: int, **kwargs: Any) -> None:
    """Have every process end what the user has under way."""
    publish(ACCESS_ENDED, str(user_id))
