"""What a call cost by the provider's own counts, and what it would have cost: the second a guess.

Money is in billionths of a dollar. What sending everything would have cost can't be measured, as it
was not sent: it is the cost gate's estimate, in the measure of the provider's count of what was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from proxy.accounting import price_table
from proxy.accounting.call_finished import CallFinished
from proxy.cost.prices import Used
from proxy.filtering.cost_gate import CostDecision
from proxy.models.usage_row import UsageRow
from proxy.wire.dialect import CLIENT_MARKS, Counts


class PricedCall(NamedTuple):
    """A call that has ended, with the provider's counts and what they cost."""

    row: UsageRow
    cost_decision: CostDecision | None
    meaning: str = ""
    """By what the filter compared texts; empty where it compared none."""


class CallCost(NamedTuple):
    """What is known of a call's cost; nothing without a price, estimates only from the gate."""

    price_id: int | None = None
    cost: int | None = None
    estimated: int | None = None
    estimated_whole: int | None = None
    saved: int | None = None


def price(call: CallFinished) -> PricedCall:
    """Read a call's usage, if that has not been done, and add what it cost."""
    counts = call.counts or call.parse_usage(b"".join(call.usage_texts))
    cost_decision = call.cost_decision
    cost = _cost(call, counts)
    # In the columns' order: by their names it would take three times as long.
    row = UsageRow(
        call.created,
        call.request_id,
        call.caller_id,
        call.key_id,
        call.endpoint,
        call.target,
        call.model,
        call.mode,
        call.filtering,
        call.persona,
        call.messages_before,
        call.messages_after,
        call.tokens_before,
        call.tokens_after,
        counts["prompt_tokens"],
        counts["cached_tokens"],
        counts["completion_tokens"],
        counts["written_tokens"],
        counts.get("written_for_long_tokens"),
        counts.get("reasoning_tokens"),
        cost_decision.preset if cost_decision else "",
        cost_decision.decision.mode if cost_decision else "",
        cost_decision.decision.reason if cost_decision else "",
        cost_decision.decision.hit if cost_decision else None,
        cost.price_id,
        cost.cost,
        cost.estimated,
        cost.estimated_whole,
        cost.saved,
        call.status,
        call.outcome,
        call.milliseconds,
        call.first_byte_milliseconds,
    )
    return PricedCall(row, cost_decision, call.meaning)


_UNKNOWN = CallCost()


def used_of(counts: Counts) -> Used:
    """Return a provider's counts as they are billed; what it did not tell is none."""
    return Used(
        prompt=counts["prompt_tokens"] or 0,
        completion=counts["completion_tokens"] or 0,
        cached=counts["cached_tokens"] or 0,
        written=counts["written_tokens"] or 0,
        written_for_long=counts.get("written_for_long_tokens") or 0,
    )


def _cost(call: CallFinished, counts: Counts) -> CallCost:
    cost_decision = call.cost_decision
    tariff = (
        cost_decision.tariff if cost_decision else price_table.get().of(call.target, call.model)
    )
    if tariff is None or not counts["prompt_tokens"]:
        return _UNKNOWN
    used = used_of(counts)
    cost = tariff.cost(used)
    if cost_decision is None or cost is None:
        return CallCost(tariff.id, cost)
    decision, is_shadow = cost_decision.decision, call.filtering == "shadow"
    # Tokenizers differ: the estimates are told in the provider's tokens.
    scale = used.prompt / (cost_decision.whole if is_shadow else decision.tokens)
    estimated = tariff.of_input(decision.price * scale)
    estimated_whole = tariff.of_input(decision.price_of_everything * scale)
    paid = tariff.cost(replace(used, completion=0))
    saved = None if estimated_whole is None or paid is None else estimated_whole - paid
    if is_shadow or decision.reason == CLIENT_MARKS:
        # What came went out. What a client has cached by its own marks is no saving of ours.
        saved = 0
    return CallCost(tariff.id, cost, estimated, estimated_whole, saved)


def cached_tokens(row: UsageRow, cost_decision: CostDecision) -> int | None:
    """Return how much of the request was cached, in the gate's tokens; None if that is unknown."""
    if row.cached_tokens is None or not row.prompt_tokens:
        return None
    return round(row.cached_tokens * cost_decision.decision.tokens / row.prompt_tokens)
