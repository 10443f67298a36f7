"""A copy of the provider's prompt cache: what of a request it has seen, and so its price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import message_set
from .message_set import MessageSet
from .rates import Rates


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was forwarded."""

    messages: MessageSet
    sent_at: float


class Candidate(NamedTuple):
    """A request that could be sent."""

    messages: MessageSet
    moved: MessageSet = 0
    """Those of them that stand right before the question, and not in their places."""


class PrefixSums:
    """The tokens of a request, up to any of its places."""

    __slots__ = ("_up_to", "messages", "total")

    def __init__(self, messages: MessageSet, tokens: NDArray[np.int64], front: int) -> None:
        self.messages = messages
        count = len(tokens)
        bits = np.frombuffer(messages.to_bytes((count + 7) // 8, "little"), np.uint8)
        taken = np.unpackbits(bits, count=count, bitorder="little") * tokens
        self._up_to = np.concatenate(([front], taken)).cumsum()
        self.total = int(self._up_to[-1])

    def up_to(self, place: int) -> int:
        """Return the tokens before a place; beyond the last one, all of them."""
        return int(self._up_to[min(place, len(self._up_to) - 1)])


def alive(sent: Sequence[Sent], rates: Rates, now: float) -> list[Sent]:
    """Return the requests that the provider still has cached."""
    return (
        [each for each in sent if now - each.sent_at <= rates.lifetime] if rates.has_cache else []
    )


def cached(common: int, rates: Rates) -> int:
    """Return how many of a request's first `common` tokens, seen before, are read from cache."""
    return 0 if common < rates.min_prefix else common // rates.step * rates.step


def price(total: int, hit: int, rates: Rates) -> float:
    """Return what a request of `total` tokens costs of which `hit` are read from the cache."""
    is_cached = rates.has_cache and total >= rates.min_prefix
    cost = rates.read * hit + (rates.write if is_cached else 1.0) * (total - hit)
    return rates.factor(total) * cost


def common(request: PrefixSums, sent: Sent, rates: Rates) -> int:
    """Return the tokens with which a request begins as one before it did."""
    different = request.messages ^ sent.messages
    if not different:
        return request.total
    place = message_set.first(different)
    return 0 if rates.exact_match_only and sent.messages >> place else request.up_to(place)


def begins_with(messages: MessageSet, sent: Sent) -> bool:
    """Tell whether a request begins with the whole of one that was forwarded."""
    different = messages ^ sent.messages
    return not different or not sent.messages >> message_set.first(different)
