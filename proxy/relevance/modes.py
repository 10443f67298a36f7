"""How strict the filter is: the names of the modes and what each asks of an exchange."""

from __future__ import annotations

from typing import Final

OFF: Final = "off"
NAMES: Final = ("very_strict", "strict", "lax", OFF)


def relevance_modes() -> list[tuple[str, str]]:
    """Return the modes with their labels, as a field's choices."""
    return [(name, name.replace("_", " ")) for name in NAMES]


THRESHOLDS: Final = {"very_strict": 0.40, "strict": 0.25, "lax": 0.13}
"""How likely the question must need an exchange for it to stay."""

MOST_RISK: Final = {"very_strict": 0.18, "strict": 0.14, "lax": 0.05}
"""How likely it may be that something needed goes; where it is likelier, more stays."""

LAST_MAY_GO: Final = ("very_strict",)
"""The modes in which the last exchange goes where the question surely stands alone."""

STRICTER: Final = {"strict": "very_strict", "lax": "strict"}
"""The mode whose result each mode must hold."""
