"""What a call takes of the limits on tokens: held before the provider is asked, counted after.

Who sets limits and where they are counted is not known here: whoever lets a call in may put an
allowance into its scope.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from proxy.filtering.result import FilterResult
from proxy.wire.answer_end import AnswerEnd
from proxy.wire.dialect import Counts

# Bytes of an answer for each token, where the provider does not tell how many it gave: an event of
# a stream holds about one, and an answer in one piece is text.
BYTES_PER_STREAMED_TOKEN = 200
BYTES_PER_TOKEN = 4


class QuotaReservation(Protocol):
    """A call's share of its caller's limits."""

    @property
    def counts_tokens(self) -> bool: ...

    async def reserve(self, tokens: int) -> None: ...

    def settle(self, tokens: int) -> None: ...


class _Generation(msgspec.Struct):
    most: int | float | None = msgspec.field(default=None, name="maxOutputTokens")


class _Length(msgspec.Struct):
    """The fields by which callers bound an answer, in any dialect."""

    max_tokens: int | float | None = None
    max_completion_tokens: int | float | None = None
    max_output_tokens: int | float | None = None
    generation: _Generation | None = msgspec.field(default=None, name="generationConfig")


_length = msgspec.json.Decoder(_Length)


def tokens_needed(result: FilterResult) -> int:
    """Return how many tokens a request takes at most, as far as that is known before."""
    return sent(result) + (max_output(result) or 0)


def max_output(result: FilterResult) -> int | None:
    """Return how many tokens the answer has at most; None where the request sets no limit."""
    try:
        fields = _length.decode(result.body)
    except msgspec.ValidationError:
        return None
    bounded = fields.max_completion_tokens or fields.max_output_tokens or fields.max_tokens
    if bounded is None and fields.generation:
        bounded = fields.generation.most
    # Local servers take -1 for no limit.
    return None if bounded is None or bounded < 0 else int(bounded)


def tokens_used(result: FilterResult | None, answer: AnswerEnd, reported: Counts) -> int:
    """Return how many tokens a call took: as the provider counted, else by our measure."""
    counts = completed(result, answer, reported)
    return (counts["prompt_tokens"] or 0) + (counts["completion_tokens"] or 0)


def completed(result: FilterResult | None, answer: AnswerEnd, reported: Counts) -> Counts:
    """Return the provider's counts, and our measure in place of those that it did not tell."""
    counts = reported.copy()
    if counts["prompt_tokens"] is None:
        counts["prompt_tokens"] = sent(result) if result else 0
    if counts["completion_tokens"] is None:
        is_stream = b"data:" in answer.tail()
        each = BYTES_PER_STREAMED_TOKEN if is_stream else BYTES_PER_TOKEN
        counts["completion_tokens"] = -(-answer.size // each) if result else 0
    return counts


def sent(result: FilterResult) -> int:
    """Return how many tokens go to the provider."""
    return result.tokens_before if result.filtering == "shadow" else result.tokens_after
