"""What a call leaves behind when it has ended, for whoever keeps account of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from proxy.filtering.cost_gate import CostDecision
from proxy.wire.dialect import Counts


class CallFinished(NamedTuple):
    """A call that has ended, whatever became of it; no word of what was said, but the answer's end.

    A tuple: one is made for each request, and a frozen dataclass would take three times as long.
    """

    created: datetime
    request_id: str
    caller_id: int
    key_id: str
    endpoint: str
    target: str
    model: str
    status: int
    outcome: str
    milliseconds: int
    first_byte_milliseconds: int | None
    usage_texts: list[bytes]
    """What of the provider's answer may hold its usage."""

    parse_usage: Callable[[bytes], Counts]
    """Reads the provider's usage in that."""

    counts: Counts | None = None
    """The provider's usage, if it has been read."""

    cost_decision: CostDecision | None = None
    """What the cost gate decided of it."""

    persona: str = ""
    mode: str = ""
    filtering: str = ""
    meaning: str = ""
    """By what the filter compared texts; empty where it compared none."""

    messages_before: int = 0
    messages_after: int = 0
    tokens_before: int = 0
    tokens_after: int = 0

    def __repr__(self) -> str:
        """Tell which call it is, and nothing of its answer."""
        return f"CallFinished(request_id={self.request_id!r}, status={self.status})"

    @property
    def size(self) -> int:
        """The bytes of the answer that wait with it."""
        return sum(map(len, self.usage_texts))
