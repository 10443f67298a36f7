"""What became of each message of a request, and why, for people.

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
from proxy.wire.dialect import BOUND_REASONING, CLIENT_MARKS, CONTEXT_MANAGEMENT, STATEFUL

# Why all of a request was forwarded, where no verdict says it of a message.
_WHOLE = {
    "off": "not filtered",
    "too_slow": "the filter took too long",
    "failed": "the filter failed",
    "undone": "the provider refused the filtered request",
}
# The same, where the request was to be kept.
_KEPT_FOR = {
    "short": "too short to gain by leaving out",
    STATEFUL: "the provider holds what came before",
    CONTEXT_MANAGEMENT: "the provider leaves out by itself",
    CLIENT_MARKS: "the client's marks for the prompt cache come after it",
    BOUND_REASONING: "reasoning that is bound to it comes after it",
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


def decisions_of(result: FilterResult) -> list[Decision]:
    """Return the decision on each message of the request, in order."""
    request, verdicts = result.request, result.verdicts
    if verdicts is None:
        why = unfiltered_reason(result)
        verdicts = [Verdict(index, "kept", why) for index in range(len(request.messages))]
    moved = result.cost_decision.decision.moved if result.cost_decision else 0
    partners = {
        index: [other for other in run if other != index]
        for run in joins(request.messages, ordered(request, verdicts, moved))
        for index in run
    }
    return [_decision(result, verdict, partners.get(verdict.index, [])) for verdict in verdicts]


def unfiltered_reason(result: FilterResult) -> str:
    """Return why a request was forwarded whole, where there is no verdict on its messages."""
    why = _WHOLE.get(result.filtering, _NOT_WRITABLE)
    return _KEPT_FOR.get(result.reason, why)


def to_json(result: FilterResult) -> dict[str, Any]:
    """Return the whole account of a request, for JSON."""
    return summary(result) | {"cost": cost(result), "messages": decisions_of(result)}


def cost(result: FilterResult) -> dict[str, Any] | None:
    """Return what the cost gate decided, for JSON; costs in tokens of input at its normal price."""
    if result.cost_decision is None:
        return None
    decision = result.cost_decision.decision
    return {
        "preset": result.cost_decision.preset,
        "mode": decision.mode,
        "moved": decision.moved.bit_count(),
        "reason": decision.reason,
        "estimated": round(decision.price),
        "estimated_whole": round(decision.price_of_everything),
        "expected_cached": decision.hit,
        "bank": round(decision.savings_balance),
    }


def summary(result: FilterResult) -> dict[str, Any]:
    """Return what was done with the request as a whole, for JSON.

    The tokens are those of the messages and three of the request itself.
    """
    return {
        "mode": result.mode,
        "result": result.filtering,
        "meaning": result.meaning or None,
        "totals": {
            "messages_before": result.messages_before,
            "messages_after": result.messages_after,
            "tokens_before": result.tokens_before,
            "tokens_after": result.tokens_after,
            "milliseconds": round(result.milliseconds, 2),
        },
    }


def _decision(result: FilterResult, verdict: Verdict, partners: list[int]) -> Decision:
    message = result.request.messages[verdict.index]
    raw = _role_decoder.decode(result.request.raw_messages[verdict.index])
    fate, reason = verdict.fate, verdict.reason
    if partners:
        fate = "joined"
        reason = f"{reason}; one message with {', '.join(map(str, partners))}"
    return Decision(
        index=verdict.index,
        role=raw.role or message.role,
        fate=fate,
        reason=reason,
        score=None if verdict.score is None else round(verdict.score, 4),
        tokens=message.tokens,
    )
