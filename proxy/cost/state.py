"""What is remembered of a conversation between its turns, in one to three kilobytes."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from . import message_set
from .cache import Sent, begins_with
from .message_set import MessageSet

MOST_SENT: Final = 6
"""How many forwarded requests are remembered; the provider's cache holds several as well."""

NEVER: Final = float("-inf")

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BBHIddIddB")
_SENT: Final = struct.Struct("<d")


class Unreadable(ValueError):
    """The bytes are not a state that this version has packed."""


@dataclass(frozen=True, slots=True)
class State:
    """A conversation as it stood after its last turn."""

    history: array[int]
    """The hash of each message that the caller has sent: the places of `sent` count in it."""

    sent: tuple[Sent, ...] = ()
    """Requests that were forwarded, the latest last; none is the beginning of another."""

    at: float = 0.0
    """When the last turn was."""

    savings_balance: float = 0.0
    """What sending everything would have cost so far, minus what was paid; both estimated."""

    turns: int = 0

    relied_on: float = 0.0
    """The time of the request that the last turn hoped to find cached."""

    expected: int = 0
    """The tokens that it hoped to find."""

    misses: int = 0
    """How many answers in a row found nothing of them."""

    def carried(self, history: array[int]) -> State:
        """Return the state in the places of another history.

        Requests that hold a message which is not in it, or stands elsewhere, are forgotten.
        """
        if history[: len(self.history)] == self.history:
            return replace(self, history=history)
        moved = _moved(self.history, history)
        sent = []
        for each in self.sent:
            places = [moved.get(place, -1) for place in message_set.listed(each.messages)]
            if -1 not in places:
                sent.append(Sent(message_set.of(places), each.sent_at))
        return replace(self, history=history, sent=tuple(sent))

    def after(self, sent: Sent) -> tuple[Sent, ...]:
        """Return the remembered requests with one more; it stands for those that it begins with."""
        others = [each for each in self.sent if not begins_with(sent.messages, each)]
        return (*others, sent)[-MOST_SENT:]

    def instead(self, sent: MessageSet) -> State:
        """Return the state where this was forwarded in place of the last request."""
        return replace(self, sent=(*self.sent[:-1], Sent(sent, self.at)))

    def with_feedback(self, cached: int, expected: int) -> State:
        """Return the state after the answer to its last request, of which so much was cached.

        Nothing found twice in a row means that the provider has forgotten all; a part of what was
        expected, that the older request is gone which this one began with.
        """
        if not expected:
            return self
        if cached:
            is_gone = 2 * cached < expected
            sent = tuple(s for s in self.sent if not is_gone or s.sent_at != self.relied_on)
            return replace(self, sent=sent, misses=0)
        misses = self.misses + 1
        sent = self.sent if misses < 2 else tuple(Sent(s.messages, NEVER) for s in self.sent)
        return replace(self, sent=sent, misses=misses)

    def packed(self) -> bytes:
        """Return the state as bytes, 8 for each message of the history and a bit for each sent."""
        size = (len(self.history) + 7) // 8
        head = _HEAD.pack(
            _VERSION,
            len(self.sent),
            size,
            len(self.history),
            self.at,
            self.savings_balance,
            self.turns,
            self.relied_on,
            float(self.expected),
            min(self.misses, 255),
        )
        sent = (_SENT.pack(s.sent_at) + s.messages.to_bytes(size, "little") for s in self.sent)
        return b"".join((head, self.history.tobytes(), *sent))

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """Return the state that `packed` gave; raises Unreadable."""
        try:
            version, count, size, length, *rest = _HEAD.unpack_from(packed)
            if version != _VERSION:
                raise Unreadable
            at, bank, turns, relied_on, expected, misses = rest
            start = _HEAD.size
            history = array("Q")
            history.frombytes(packed[start : start + 8 * length])
            start += 8 * length
            sent = []
            for _ in range(count):
                (when,) = _SENT.unpack_from(packed, start)
                start += _SENT.size
                sent.append(Sent(int.from_bytes(packed[start : start + size], "little"), when))
                start += size
        except (struct.error, ValueError):
            raise Unreadable from None
        if start != len(packed) or len(history) != length:
            raise Unreadable
        return cls(history, tuple(sent), at, bank, turns, relied_on, int(expected), misses)


def _moved(old: Sequence[int], new: Sequence[int]) -> dict[int, int]:
    """Return where the messages of `old` stand in `new`, as far as their order is the same."""
    where: dict[int, list[int]] = {}
    for place in reversed(range(len(new))):
        where.setdefault(new[place], []).append(place)
    moved, latest = {}, -1
    for place, message in enumerate(old):
        candidates = where.get(message, [])
        while candidates and candidates[-1] <= latest:
            candidates.pop()
        if candidates:
            latest = moved[place] = candidates.pop()
    return moved
