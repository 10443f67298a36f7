"""A conversation and what relevance says of it, as the cost gate wants them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from proxy.relevance.messages import Message
from proxy.relevance.widths import Widths

from . import places
from .cache import Sent
from .places import Places


@dataclass(frozen=True, slots=True)
class Turn:
    """A request of the caller's, as far as the choice depends on it."""

    hashes: array[int]
    """64 bits of each message."""

    tokens: Sequence[int]
    need: Places
    """What every request must hold."""

    keep: Places
    """What a cut leaves, besides the latest exchanges."""

    starts: Sequence[int]
    """Where exchanges begin, the current one last; nothing that belongs together is parted there.
    """

    everything: Places
    """All messages but those that the caller excluded."""

    copies: Places = 0
    """Exchanges that repeat others."""

    ties: Sequence[Places] = ()
    """Exchanges with messages of others in between, which only their places keep together."""

    fixed: Places = 0
    """What no filter may drop whatever it scores."""

    front: int = 0
    """Tokens that stand before the messages in every request: tools, instructions."""

    goes_on: bool = False
    """Whether the last message is no question but a step of the answer to one, such as a tool's."""

    def going_on(self, last: Sent) -> Places:
        """Return the last request with all that came since."""
        since = self.everything & ~places.below(last.messages.bit_length())
        return last.messages & self.everything | since

    def completed(self, sent: Sent) -> Places:
        """Return an earlier request with the answer to its question, where it is past."""
        length = sent.messages.bit_length()
        end = next((start for start in self.starts if start >= length), length)
        answer = places.below(end) & ~places.below(length)
        return (sent.messages | answer) & self.everything

    def tied(self, messages: Places) -> Places:
        """Return `messages` with what they may not be parted from."""
        for tie in self.ties:
            if messages & tie:
                messages |= tie & self.everything
        return messages

    def size(self, messages: Places) -> int:
        """Return the tokens of these messages alone."""
        return sum(self.tokens[place] for place in places.listed(messages))


def turn_of(
    messages: Sequence[Message], hashes: array[int], seen: Widths, *, front: int = 0
) -> Turn:
    """Return the turn; `seen` has what a request must hold and what a cut leaves, last and second
    last of its widths.
    """
    *_, need, keep = seen.kept
    everything = places.below(len(messages)) & ~places.of(seen.excluded)
    end = len(messages) if seen.query is None else seen.query
    return Turn(
        hashes=hashes,
        tokens=[message.tokens for message in messages],
        need=places.of(need),
        keep=places.of(keep),
        starts=[*_starts(seen, end), end],
        everything=everything,
        copies=places.of(seen.copies),
        ties=[places.of(exchange) for exchange in seen.exchanges if not _is_together(exchange)],
        fixed=places.of(seen.fixed),
        front=front,
        goes_on=messages[-1].role != "user",
    )


def _starts(seen: Widths, end: int) -> list[int]:
    """Return where past exchanges begin: no exchange is parted there but the tied ones."""
    return sorted(exchange[0] for exchange in seen.exchanges if exchange[0] < end)


def _is_together(exchange: Sequence[int]) -> bool:
    """Tell whether an exchange has no message of another one in between."""
    return all(later == place + 1 for place, later in pairwise(exchange))
