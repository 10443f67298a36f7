"""Percent-encoding that others have piled up."""

from __future__ import annotations

from urllib.parse import unquote

# More than anybody's by mistake, few enough to take no time.
_MOST_ENCODINGS = 8


def fully_unquoted(text: str) -> str:
    """Return a text decoded as often as it was encoded."""
    for _ in range(_MOST_ENCODINGS):
        if "%" not in text:
            break
        text = unquote(text)
    return text
