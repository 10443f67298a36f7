"""A provider's own token counts, found in the last bytes of its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

# Longer than any provider's usage with all its details.
LONGEST = 4096
_decoder = json.JSONDecoder()


def objects_after(mark: re.Pattern[bytes], tail: bytes) -> Iterator[dict[str, Any]]:
    """Give the JSON objects that follow `mark`, in order, as far as they are whole."""
    for place in mark.finditer(tail):
        if fields := _object_at(tail, place.end()):
            yield fields


def counted(value: Any) -> int | None:
    """Return `value` if it is a count that a usage row can hold."""
    return value if type(value) is int and 0 <= value < 2**31 else None


def _object_at(text: bytes, start: int) -> dict[str, Any] | None:
    piece = text[start : start + LONGEST].decode("utf-8", "replace")
    try:
        # Reads one value and leaves what follows it, which msgspec has no way to do.
        value, _ = _decoder.raw_decode(piece)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
