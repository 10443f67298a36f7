"""The cost gate on a request's way: whether it is on, and what it makes of what matters.

It takes a request in three steps: `assess` finds what matters and what the request would cost,
`CostAssessment.decide` takes what is remembered of the conversation, and the caller stores what
comes of it.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

import xxhash
from django.conf import settings

from proxy.common.lru import LRUCache, digest_of
from proxy.cost import policy
from proxy.cost.policy import Decision
from proxy.cost.prices import Table, Tariff
from proxy.cost.rates import Rates
from proxy.cost.state import State
from proxy.cost.turn import Turn, turn_of
from proxy.filtering import cache_estimates
from proxy.filtering.cache_estimates import CacheEstimate
from proxy.relevance import modes
from proxy.relevance.filter import Verdict
from proxy.relevance.thresholds import Widths, at_widths
from proxy.wire import token_count
from proxy.wire.dialect import CLIENT_MARKS, Request

FOR_THE_CACHE: Final = "kept for the cache"
MOVED: Final = "moved before the question"
NOT_WORTH_IT: Final = "sending it again costs more than it is worth"
# Clients that mark what a provider shall cache plan their requests themselves.
_MARKS: Final = (b'"cache_control"', b'"prompt_cache_breakpoint"')

# Token counts of tools and instructions, which are the same at every turn.
_counted: LRUCache[int] = LRUCache(size=1024 * 1024)


@dataclass(frozen=True, slots=True)
class CostGateConfig:
    """What decides, before a body is read, whether and how its cost is looked at."""

    preset: str
    host: str
    user_id: int
    key: str = field(repr=False)
    """The provider's: another key may be another account, with a cache of its own."""

    table: Table = field(repr=False)
    may_move: bool = False
    """Whether the operator allows that exchanges are moved to right before the question."""

    def tariff(self, model: str) -> Tariff | None:
        """Return the tariff to go by; None where relevance alone decides."""
        tariff = self.table.of(self.host, model)
        if tariff is None and cache_estimates.has_observed_cache(self.host, model):
            return Tariff(self.host)
        return tariff


@dataclass(frozen=True, slots=True)
class CostDecision:
    """What the gate decided of a request, and by which tariff."""

    preset: str
    tariff: Tariff
    rates: Rates
    decision: Decision
    conversation: str
    upstream: str
    turn: int
    age: float
    """Seconds since the request that the provider should have cached."""

    whole: int
    """The tokens of the whole request, as the gate counts them."""

    @property
    def header(self) -> str:
        """What X-Alchemyst-Context says of it; costs in tokens of input at their normal price."""
        decision = self.decision
        moved = f"moved={decision.moved.bit_count()}; " if decision.moved else ""
        return (
            f"cost={self.preset}; cache={decision.mode}; {moved}reason={decision.reason}; "
            f"est-cost={decision.price:.0f}; est-cost-whole={decision.price_of_everything:.0f}; "
            f"bank={decision.savings_balance:.0f}"
        )


@dataclass(frozen=True, slots=True)
class CostAssessment:
    """A request of which it is known what matters, and not yet what it pays to send."""

    config: CostGateConfig
    tariff: Tariff
    turn: Turn
    widths: Widths
    conversation: str
    upstream: str
    is_marked: bool

    def decide(
        self, state: State | None, estimate: CacheEstimate, now: float
    ) -> tuple[CostDecision, State]:
        """Return the gate's decision, and what is to be remembered of the conversation."""
        rates = estimate.adjust(self.tariff.rates)
        turn = self.turn
        if self.is_marked or estimate.is_unreliable:
            # With everything needed nothing is dropped, and the state is carried on all the same.
            turn = replace(turn, need=turn.everything)
        decision, after = policy.decide(turn, state, rates, now, policy.PRESETS[self.config.preset])
        if self.is_marked or estimate.is_unreliable:
            reason = CLIENT_MARKS if self.is_marked else "alarm"
            decision = replace(decision, reason=reason)
        age = now - (after.relied_on or (state.at if state else now))
        cost_decision = CostDecision(
            self.config.preset,
            self.tariff,
            rates,
            decision,
            self.conversation,
            self.upstream,
            after.turns,
            age,
            turn.front + sum(turn.tokens),
        )
        return cost_decision, after

    def verdicts(self, decision: Decision) -> list[Verdict]:
        """Return what became of each message."""
        return [_merge_verdict(verdict, decision) for verdict in self.widths.verdicts]


def assess(
    request: Request,
    config: CostGateConfig,
    mode: str,
    *,
    pinned: frozenset[int],
    excluded: frozenset[int],
    deadline: float,
    is_shadow: bool,
) -> CostAssessment | None:
    """Return what matters of a request; None where the gate is off. Raises `TooSlow`."""
    tariff = config.tariff(request.model)
    if tariff is None:
        return None
    threshold = modes.THRESHOLDS[mode]
    needed = policy.widths(tariff.rates, threshold)
    widths = at_widths(
        request.messages,
        (threshold, needed.need, needed.keep),
        most_risk=modes.MOST_RISK[mode],
        pinned=pinned,
        excluded=excluded,
        deadline=deadline,
    )
    front = token_count.PER_REQUEST + _tokens(request.front)
    likeness = needed.keep if config.may_move and not request.has_tools else None
    turn = turn_of(request.messages, _hashes(request), widths, front=front, likeness=likeness)
    upstream = f"{config.host}|{request.model}"
    owner = f"{config.user_id}|{config.key}|{upstream}|{is_shadow}"
    conversation = _conversation(request, owner)
    is_marked = has_marks(request.body) or request.kept_for == CLIENT_MARKS
    return CostAssessment(config, tariff, turn, widths, conversation, upstream, is_marked)


def has_marks(body: bytes) -> bool:
    """Tell whether a client marks what of its request is to be cached, as Claude or OpenAI take it.

    In a text the quotes would be escaped, so what is found is a field.
    """
    return any(mark in body for mark in _MARKS)


def _merge_verdict(verdict: Verdict, decision: Decision) -> Verdict:
    is_sent = decision.messages >> verdict.index & 1
    if decision.moved >> verdict.index & 1:
        return replace(verdict, fate="kept", reason=MOVED)
    if is_sent and verdict.fate == "dropped":
        return replace(verdict, fate="kept", reason=FOR_THE_CACHE)
    if not is_sent and verdict.fate != "dropped":
        return replace(verdict, fate="dropped", reason=NOT_WORTH_IT)
    return verdict


def _hashes(request: Request) -> array[int]:
    seed = int.from_bytes(_secret()[:8])
    return array("Q", (xxhash.xxh3_64_intdigest(each, seed) for each in _identities(request)))


def _conversation(request: Request, owner: str) -> str:
    """Return a name for the conversation that tells nothing of its owner, or of how it begins."""
    name = hashlib.blake2b(owner.encode(), key=_secret(), digest_size=16)
    name.update(request.front)
    for identity, message in zip(_identities(request), request.messages, strict=True):
        name.update(identity)
        if message.role == "user":
            break
    return name.hexdigest()


def _identities(request: Request) -> list[bytes]:
    return request.identities or request.raw_messages


def _tokens(front: bytes) -> int:
    if not front or front == b"null":
        return 0
    digest = digest_of(front)
    known = _counted.get(digest)
    if known is None:
        known = token_count.count(front.decode("utf-8", "replace"))
        _counted.put(digest, known, cost=200)
    return known


@cache
def _secret() -> bytes:
    """Return what makes names and hashes the same in all our processes, and nowhere else."""
    return hashlib.blake2b(
        settings.SECRET_KEY.encode(), digest_size=32, person=b"cost gate"
    ).digest()
