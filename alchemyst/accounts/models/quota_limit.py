"""One number of a limit, as a value."""

from __future__ import annotations

from typing import NamedTuple


class QuotaLimit(NamedTuple):
    """One number of a limit, and under what name it is counted."""

    kind: str
    subject: str
    most: int

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.subject}"
