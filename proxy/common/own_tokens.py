"""Our own tokens, which no provider may see. What one looks like, knows who issues them."""

from __future__ import annotations

from collections.abc import Callable

contains_one: Callable[[str], bool]
"""Whether a text holds one of our tokens; set by whoever issues them."""
