"""A usage row before it is written, which is more often than a model's instances may be made."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class UsageRow(NamedTuple):
    """The columns of `UsageRecord`, in its table's order and without its primary key."""

    created: datetime
    request_id: str
    caller_id: int
    key_id: str
    endpoint: str
    target: str
    model: str
    mode: str
    filtering: str
    persona: str
    messages_before: int
    messages_after: int
    tokens_before: int
    tokens_after: int
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    written_tokens: int | None
    written_for_long_tokens: int | None
    reasoning_tokens: int | None
    cost_preset: str
    cache_mode: str
    cost_reason: str
    expected_cached: int | None
    price_id: int | None
    cost: int | None
    estimated: int | None
    estimated_whole: int | None
    saved: int | None
    status: int
    outcome: str
    milliseconds: int
    first_byte_milliseconds: int | None
