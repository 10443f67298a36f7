"""A provider's own token counts, found wherever they stand in its answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from proxy.wire.dialect import Counts, Mark

# Longer than any provider's usage with all its details.
LONGEST = 16 * 1024
# Most are shorter than this, and decoded no further.
_USUAL = 1024
_decoder = json.JSONDecoder()


def objects_after(mark: Mark, texts: bytes) -> Iterator[dict[str, Any]]:
    """Give the JSON objects that follow `mark`, in order, as far as they are whole."""
    for _, start in mark.spans(texts, len(texts)):
        if fields := _object_at(texts, start):
            yield fields


def last_counts(
    mark: Mark, texts: bytes, counts_in: Callable[[dict[str, object]], Counts]
) -> Counts:
    """Return the counts of the last object after `mark` that has any.

    In a stream, earlier ones are null or partial.
    """
    counts = counts_in({})
    for usage in objects_after(mark, texts):
        new = counts_in(usage)
        counts = new if any(count is not None for count in new.values()) else counts
    return counts


def counted(value: Any) -> int | None:
    """Return `value` if it is a count that a usage row can hold; some write 16.0 for 16."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**31 else None


def _object_at(text: bytes, start: int) -> dict[str, Any] | None:
    for length in (_USUAL, LONGEST):
        piece = text[start : start + length].decode("utf-8", "replace")
        try:
            # Reads one value and leaves what follows it, which msgspec has no way to do.
            value, _ = _decoder.raw_decode(piece)
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict) else None
    return None
