"""A conversation and what relevance says of it, as the cost gate wants them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from proxy.relevance.messages import Message
from proxy.relevance.thresholds import Widths

from . import message_set
from .cache import Candidate, Sent
from .message_set import MessageSet

CODE: Final = "```"
"""Where there is code, an older version of it must not come after a newer one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request of the caller's, as far as the choice depends on it."""

    hashes: array[int]
    """64 bits of each message."""

    tokens: Sequence[int]
    need: MessageSet
    """What every request must hold."""

    keep: MessageSet
    """What a cut leaves, besides the latest exchanges."""

    starts: Sequence[int]
    """Where exchanges begin, the current one last; nothing that belongs together is parted there.
    """

    everything: MessageSet
    """All messages but those that the caller excluded."""

    copies: MessageSet = 0
    """Exchanges that repeat others."""

    ties: Sequence[MessageSet] = ()
    """Exchanges with messages of others in between, which only their places keep together."""

    fixed: MessageSet = 0
    """What no filter may drop whatever it scores."""

    front: int = 0
    """Tokens that stand before the messages in every request: tools, instructions."""

    movable: MessageSet = 0
    """What may be said again right before the question: nothing, unless the operator allows it."""

    on_topic: MessageSet = 0
    """What is like the question, whether for that or for another reason it stays."""

    is_continuation: bool = False
    """Whether the last message is no question but a step of the answer to one, such as a tool's."""

    def continued(self, last: Sent) -> MessageSet:
        """Return the last request with all that came since."""
        since = self.everything & ~message_set.below(last.messages.bit_length())
        return last.messages & self.everything | since

    def completed(self, sent: Sent) -> MessageSet:
        """Return an earlier request with the answer to its question, where it is past."""
        length = sent.messages.bit_length()
        end = next((start for start in self.starts if start >= length), length)
        answer = message_set.below(end) & ~message_set.below(length)
        return (sent.messages | answer) & self.everything

    def lasting(self, candidate: Candidate) -> MessageSet:
        """Return of a request what a later one can begin with: what stands before the moved."""
        if not candidate.moved:
            return candidate.messages
        return candidate.messages & ~candidate.moved & message_set.below(self.starts[-1])

    def tied(self, messages: MessageSet) -> MessageSet:
        """Return `messages` with what they may not be parted from."""
        for tie in self.ties:
            if messages & tie:
                messages |= tie & self.everything
        return messages

    def size(self, messages: MessageSet) -> int:
        """Return the tokens of these messages alone."""
        return sum(self.tokens[place] for place in message_set.listed(messages))


def turn_of(
    messages: Sequence[Message],
    hashes: array[int],
    widths: Widths,
    *,
    front: int = 0,
    likeness: float | None = None,
) -> Turn:
    """Return the turn; `widths` has what a request must hold and what a cut leaves, last and second
    last of its widths.

    Exchanges may be moved where `likeness` is given: the score from which on one is like the
    question.
    """
    *_, need, keep = widths.kept
    everything = message_set.below(len(messages)) & ~message_set.of(widths.excluded)
    end = len(messages) if widths.query is None else widths.query
    return Turn(
        hashes=hashes,
        tokens=[message.tokens for message in messages],
        need=message_set.of(need),
        keep=message_set.of(keep),
        starts=[*_starts(widths, end), end],
        everything=everything,
        copies=message_set.of(widths.copies),
        ties=[
            message_set.of(exchange) for exchange in widths.exchanges if not _is_together(exchange)
        ],
        fixed=message_set.of(widths.fixed),
        front=front,
        movable=0 if likeness is None else _movable(messages, widths),
        on_topic=0 if likeness is None else _like_the_question(widths, likeness),
        is_continuation=messages[-1].role != "user",
    )


def _starts(widths: Widths, end: int) -> list[int]:
    """Return where past exchanges begin: no exchange is parted there but the tied ones."""
    return sorted(exchange[0] for exchange in widths.exchanges if exchange[0] < end)


def _movable(messages: Sequence[Message], widths: Widths) -> MessageSet:
    """Return the plain exchanges, in a chat whose turns alternate and have no code in them.

    What stands before the question must be an answer, as an exchange begins with a question and
    ends with an answer.
    """
    query = widths.query
    is_chat = query and query == len(messages) - 1 and messages[query - 1].role == "assistant"
    if not is_chat or any(m.role == "tool" or m.calls or CODE in m.text for m in messages):
        return 0
    movable = (exchange for exchange in widths.exchanges if _is_plain(messages, exchange))
    return message_set.of(place for exchange in movable for place in exchange)


def _is_plain(messages: Sequence[Message], exchange: Sequence[int]) -> bool:
    exchange_messages = [messages[place] for place in exchange]
    return (
        [message.role for message in exchange_messages] == ["user", "assistant"]
        and all(message.is_plain and not message.is_protected for message in exchange_messages)
        and _is_together(exchange)
    )


def _like_the_question(widths: Widths, likeness: float) -> MessageSet:
    return message_set.of(
        v.index for v in widths.verdicts if v.score is not None and v.score >= likeness
    )


def _is_together(exchange: Sequence[int]) -> bool:
    """Tell whether an exchange has no message of another one in between."""
    return all(later == place + 1 for place, later in pairwise(exchange))
