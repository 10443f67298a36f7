"""What became of each message of a request, and why, as people are told it.

Every message that came has exactly one decision: it was kept as it stands, dropped, joined with
neighbours of its role to one message, or protected, which no mode overrules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.filtering.result import Context, ordered
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


class _Said(msgspec.Struct):
    role: str | None = None


_said = msgspec.json.Decoder(_Said)


def decided(context: Context) -> list[Decision]:
    """Return the decision on each message of the request, in order."""
    request, verdicts = context.request, context.verdicts
    if verdicts is None:
        why = why_whole(context)
        verdicts = [Verdict(index, "kept", why) for index in range(len(request.messages))]
    moved = context.gated.decision.moved if context.gated else 0
    partners = {
        index: [other for other in run if other != index]
        for run in joins(request.messages, ordered(request, verdicts, moved))
        for index in run
    }
    return [_decision(context, verdict, partners.get(verdict.index, [])) for verdict in verdicts]


def why_whole(context: Context) -> str:
    """Return why a request was forwarded whole, where there is no verdict on its messages."""
    return _WHOLE.get(context.filtering, _NOT_WRITABLE)


def told(context: Context) -> dict[str, Any]:
    """Return the whole account of a request, for JSON."""
    return summary(context) | {"cost": cost(context), "messages": decided(context)}


def cost(context: Context) -> dict[str, Any] | None:
    """Return what the cost gate decided, for JSON; costs in tokens of input at its normal price."""
    if context.gated is None:
        return None
    made = context.gated.decision
    return {
        "preset": context.gated.preset,
        "mode": made.mode,
        "moved": made.moved.bit_count(),
        "reason": made.reason,
        "estimated": round(made.price),
        "estimated_whole": round(made.price_of_everything),
        "expected_cached": made.hit,
        "bank": round(made.bank),
    }


def summary(context: Context) -> dict[str, Any]:
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


def _decision(context: Context, verdict: Verdict, partners: list[int]) -> Decision:
    message = context.request.messages[verdict.index]
    said = _said.decode(context.request.raw_messages[verdict.index])
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
