"""What became of each message of a request, and why, as people are told it.

Every message that came has exactly one decision: it was kept as it stands, dropped, joined with
neighbours of its role to one message, or protected, which no mode overrules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.filtering.result import FilterResult, ordered
from proxy.relevance.filter import Verdict
from proxy.relevance.merge_turns import joins

# Why all of a request was forwarded, where no verdict says it of a message.
_WHOLE = {
    "off": "not filtered",
    "too_slow": "the filter took too long",
    "failed": "the filter failed",
    "undone": "the provider refused the filtered request",
}
_NOT_WRITABLE = "without the others, the turns would break a rule of the provider's"


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of the message at `index`, from 0."""

    index: int
    role: str
    """As the caller wrote it."""

    fate: str
    """`kept`, `dropped`, `joined` or `protected`."""

    reason: str
    score: float | None
    """Its exchange's share of the best exchange's score, where one was worked out."""

    tokens: int


class _RoleOnly(msgspec.Struct):
    role: str | None = None


_role_decoder = msgspec.json.Decoder(_RoleOnly)


def decisions_of(context: FilterResult) -> list[Decision]:
    """Return the decision on each message of the request, in order."""
    request, verdicts = context.request, context.verdicts
    if verdicts is None:
        why = unfiltered_reason(context)
        verdicts = [Verdict(index, "kept", why) for index in range(len(request.messages))]
    moved = context.cost_decision.decision.moved if context.cost_decision else 0
    partners = {
        index: [other for other in run if other != index]
        for run in joins(request.messages, ordered(request, verdicts, moved))
        for index in run
    }
    return [_decision(context, verdict, partners.get(verdict.index, [])) for verdict in verdicts]


def unfiltered_reason(context: FilterResult) -> str:
    """Return why a request was forwarded whole, where there is no verdict on its messages."""
    return _WHOLE.get(context.filtering, _NOT_WRITABLE)


def to_json(context: FilterResult) -> dict[str, Any]:
    """Return the whole account of a request, for JSON."""
    return summary(context) | {"cost": cost(context), "messages": decisions_of(context)}


def cost(context: FilterResult) -> dict[str, Any] | None:
    """Return what the cost gate decided, for JSON; costs in tokens of input at its normal price."""
    if context.cost_decision is None:
        return None
    made = context.cost_decision.decision
    return {
        "preset": context.cost_decision.preset,
        "mode": made.mode,
        "moved": made.moved.bit_count(),
        "reason": made.reason,
        "estimated": round(made.price),
        "estimated_whole": round(made.price_of_everything),
        "expected_cached": made.hit,
        "bank": round(made.savings_balance),
    }


def summary(context: FilterResult) -> dict[str, Any]:
    """Return what was done with the request as a whole, for JSON.

    The tokens are those of the messages and three of the request itself.
    """
    return {
        "mode": context.mode,
        "result": context.filtering,
        "totals": {
            "messages_before": context.messages_before,
            "messages_after": context.messages_after,
            "tokens_before": context.tokens_before,
            "tokens_after": context.tokens_after,
            "milliseconds": round(context.milliseconds, 2),
        },
    }


def _decision(context: FilterResult, verdict: Verdict, partners: list[int]) -> Decision:
    message = context.request.messages[verdict.index]
    said = _role_decoder.decode(context.request.raw_messages[verdict.index])
    fate, reason = verdict.fate, verdict.reason
    if partners:
        fate = "joined"
        reason = f"{reason}; one message with {', '.join(map(str, partners))}"
    return Decision(
        index=verdict.index,
        role=said.role or message.role,
        fate=fate,
        reason=reason,
        score=None if verdict.score is None else round(verdict.score, 4),
        tokens=message.tokens,
    )
