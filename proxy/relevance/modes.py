"""How strict the filter is: the names of the modes and what each asks of an exchange."""

from __future__ import annotations

from typing import Final

OFF: Final = "off"
NAMES: Final = ("very_strict", "strict", "lax", OFF)


def relevance_modes() -> list[tuple[str, str]]:
    """Return the modes with their labels, as a field's choices."""
    return [(name, name.replace("_", " ")) for name in NAMES]


SHARES: Final = {"very_strict": 0.40, "strict": 0.20, "lax": 0.10}
"""The share of the best exchange's score that an exchange needs to stay."""

DOWN_TO: Final = {
    "very_strict": ("very_strict",),
    "strict": ("very_strict", "strict"),
    "lax": ("very_strict", "strict", "lax"),
}
"""Each mode with the stricter ones, whose results it must hold."""
