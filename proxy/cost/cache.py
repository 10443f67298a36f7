"""A copy of the provider's prompt cache: what of a request it has seen, and so its price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import message_set
from .message_set import Places
from .rates import Rates


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was forwarded."""

    messages: Places
    at: float


class Draft(NamedTuple):
    """A request that could be sent."""

    messages: Places
    moved: Places = 0
    """Those of them that stand right before the question, and not in their places."""


class Sums:
    """The tokens of a request, up to any of its places."""

    __slots__ = ("_upto", "messages", "total")

    def __init__(self, messages: Places, tokens: NDArray[np.int64], front: int) -> None:
        self.messages = messages
        count = len(tokens)
        bits = np.frombuffer(messages.to_bytes((count + 7) // 8, "little"), np.uint8)
        taken = np.unpackbits(bits, count=count, bitorder="little") * tokens
        self._upto = np.concatenate(([front], taken)).cumsum()
        self.total = int(self._upto[-1])

    def upto(self, place: int) -> int:
        """Return the tokens before a place; beyond the last one, all of them."""
        return int(self._upto[min(place, len(self._upto) - 1)])


def alive(sent: Sequence[Sent], rates: Rates, now: float) -> list[Sent]:
    """Return the requests that the provider still has cached."""
    return [each for each in sent if now - each.at <= rates.lifetime] if rates.has_cache else []


def cached(common: int, rates: Rates) -> int:
    """Return how many of a request's first `common` tokens, seen before, are read from cache."""
    return 0 if common < rates.least else common // rates.step * rates.step


def price(total: int, hit: int, rates: Rates) -> float:
    """Return what a request of `total` tokens costs of which `hit` are read from the cache."""
    is_cached = rates.has_cache and total >= rates.least
    cost = rates.read * hit + (rates.write if is_cached else 1.0) * (total - hit)
    return rates.factor(total) * cost


def common(request: Sums, sent: Sent, rates: Rates) -> int:
    """Return the tokens with which a request begins as one before it did."""
    different = request.messages ^ sent.messages
    if not different:
        return request.total
    place = message_set.first(different)
    return 0 if rates.is_whole and sent.messages >> place else request.upto(place)


def begins_with(messages: Places, sent: Sent) -> bool:
    """Tell whether a request begins with the whole of one that was forwarded."""
    different = messages ^ sent.messages
    return not different or not sent.messages >> message_set.first(different)
