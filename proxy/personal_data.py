"""What the proxy keeps of a person, for their export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from proxy.models import DecisionRecord, Provider, UsageRecord

_PROVIDER = ("id", "name", "base_url", "dialect", "is_shared", "created")


def providers(user_id: int) -> Iterator[dict[str, Any]]:
    """The stored providers, without their keys."""
    yield from Provider.objects.of(user_id).values(*_PROVIDER).iterator()


def usage(user_id: int) -> Iterator[dict[str, Any]]:
    rows = UsageRecord.objects.filter(caller=user_id).order_by("created")
    for row in rows.values().iterator():
        yield {name: value for name, value in row.items() if name not in ("id", "caller_id")}


def decisions(user_id: int) -> Iterator[dict[str, Any]]:
    for record in DecisionRecord.objects.of(user_id).order_by("created").iterator():
        fields = record.to_json()
        yield fields | {"messages": msgspec.json.decode(fields["messages"])}
