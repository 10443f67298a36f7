"""How strict the filter is: the names of the modes and what each asks of an exchange."""

from __future__ import annotations

from typing import Final

NAMES: Final = ("very_strict", "strict", "lax", "off")

SHARES: Final = {"very_strict": 0.50, "strict": 0.27, "lax": 0.15}
"""The share of the best exchange's score that an exchange needs to stay."""

UP_TO: Final = {
    "lax": ("lax",),
    "strict": ("lax", "strict"),
    "very_strict": ("lax", "strict", "very_strict"),
}
"""Each mode with the milder ones that go before it."""
