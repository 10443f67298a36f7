"""A provider's own token counts, found in the last bytes of its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

# Longer than any provider's usage with all its details.
LONGEST = 4096


def objects_after(mark: re.Pattern[bytes], tail: bytes) -> Iterator[dict[str, Any]]:
    """Give the JSON objects that follow `mark`, in order, as far as they are whole."""
    for place in mark.finditer(tail):
        if found := _object_at(tail, place.end()):
            yield found


def counted(value: Any) -> int | None:
    """Return `value` if it is a count that a usage row can hold."""
    return value if isinstance(value, int) and 0 <= value < 2**31 else None


def _object_at(text: bytes, start: int) -> dict[str, Any] | None:
    depth = 0
    for end in range(start, min(len(text), start + LONGEST)):
        depth += {0x7B: 1, 0x7D: -1}.get(text[end], 0)
        if not depth:
            try:
                found: dict[str, Any] = msgspec.json.decode(text[start : end + 1])
            except (msgspec.DecodeError, UnicodeDecodeError):
                return None
            return found
    return None
