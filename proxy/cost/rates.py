"""What a provider asks for a token of input, and how its prompt cache works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CHEAP: Final = 0.3
"""Up to this share of the price of writing, reading from the cache counts as cheap."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices are in units of the normal price of a token of input."""

    read: float = 0.1
    """What a token costs that is read from the cache."""

    write: float = 1.0
    """What a token costs that is not, where the prompt is long enough to be cached."""

    lifetime: float = 300.0
    """Seconds for which a prompt stays cached after its last use; 0 where nothing is cached."""

    min_prefix: int = 1024
    """Tokens of the shortest beginning that is cached."""

    step: int = 128
    """A cached beginning is a multiple of so many tokens."""

    exact_match_only: bool = False
    """Whether only an earlier request as a whole is found again, never a part of one."""

    long_above: int = 0
    """Tokens of a prompt above which all of it is dearer; 0 where its length is all the same."""

    long_factor: float = 1.0
    """How many times dearer."""

    @property
    def has_cache(self) -> bool:
        return self.lifetime > 0

    def factor(self, total: int) -> float:
        """Return how many times the normal price a prompt of so many tokens is billed at."""
        return self.long_factor if 0 < self.long_above < total else 1.0

    @property
    def is_cheap(self) -> bool:
        """Whether cached input is so cheap that a changed beginning is dear."""
        return self.has_cache and self.read <= CHEAP * self.write


SAFE: Final = Rates()
"""For a model of which nothing is known: to believe in a cache that is not there costs least."""
