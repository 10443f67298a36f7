"""What a call cost by the provider's own counts, and what it would have cost: the second a guess.

Money is in billionths of a dollar. What sending everything would have cost can't be measured, as it
was not sent: it is the cost gate's estimate, in the measure of the provider's count of what was.
"""

from __future__ import annotations

from typing import Any

from proxy.cost.prices import Tariff, Used
from proxy.filtering.cost_gate import CostDecision


def columns(
    row: dict[str, Any], tariff: Tariff | None, gated: CostDecision | None
) -> dict[str, Any]:
    """Return the columns of a usage row that are about money; `row` has the provider's counts."""
    told: dict[str, Any] = {}
    if gated:
        told = {
            "cost_preset": gated.preset,
            "cache_mode": gated.decision.mode,
            "cost_reason": gated.decision.reason,
            "expected_cached": gated.decision.hit,
        }
    if tariff is None or not row["prompt_tokens"]:
        return told
    told["price_id"] = tariff.id
    used = Used(
        prompt=row["prompt_tokens"],
        completion=row["completion_tokens"] or 0,
        cached=row["cached_tokens"] or 0,
        written=row["written_tokens"] or 0,
    )
    told["cost"] = tariff.cost(used)
    if gated is None or told["cost"] is None:
        return told
    made = gated.decision
    # Tokenizers differ: the estimates are told in the provider's tokens.
    size = made.tokens if row["filtering"] != "shadow" else gated.whole
    scale = used.prompt / size
    told["estimated"] = tariff.of_input(made.price * scale)
    told["estimated_whole"] = tariff.of_input(made.price_of_everything * scale)
    if row["filtering"] == "shadow":
        told["saved"] = 0
    else:
        paid = tariff.cost(Used(used.prompt, 0, used.cached, used.written))
        told["saved"] = told["estimated_whole"] - paid
    return told


def cached_tokens(row: dict[str, Any], gated: CostDecision) -> int | None:
    """Return how much of the request was cached, in the gate's tokens; None if that is unknown."""
    if row["cached_tokens"] is None or not row["prompt_tokens"]:
        return None
    return round(row["cached_tokens"] * gated.decision.tokens / row["prompt_tokens"])
