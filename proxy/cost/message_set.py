"""Sets of messages by their places in a conversation, as the bits of an integer.

Bit 0 is the first message. So a set is a request as well: its messages in the conversation's order.
"""

from __future__ import annotations

from collections.abc import Iterable

MessageSet = int


def of(places: Iterable[int]) -> MessageSet:
    """Return the set of these places."""
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits


def listed(places: MessageSet) -> list[int]:
    """Return the places of a set, in order."""
    return [place for place, bit in enumerate(reversed(f"{places:b}")) if bit == "1"]


def below(place: int) -> MessageSet:
    """Return the set of all places before `place`."""
    return (1 << place) - 1


def first(places: MessageSet) -> int:
    """Return the lowest place of a set that is not empty."""
    return (places & -places).bit_length() - 1
