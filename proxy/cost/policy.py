"""The cost gate: which request to send, of all that hold what the question needs.

Each turn a few dozen whole requests are listed (`candidates`). Each is priced with a copy of the
provider's cache rules (`cache`), and the one goes out that costs least now and over the next turns.
What is to be remembered of it is the `state`.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from .cache import Candidate, PrefixSums, Sent, alive, begins_with, cached, common, price
from .candidates import Candidates
from .message_set import MessageSet
from .rates import Rates
from .state import State
from .turn import Turn

REST: Final = 3
"""For how many turns more a request is expected to be read from the cache."""

MIN_TOKENS: Final = 1536
"""Tokens below which everything is sent: there is nothing to win, and caches begin near there."""

MOST_FIXED: Final = 0.7
"""The share of a request that nobody may cut, above which the rest is not worth a decision."""

NEARLY_FREE: Final = 0.05
"""At this price of cached input, a conversation that is cached whole is left so."""

NAMES: Final = ("balanced", "guaranteed", "bold", "off")


@dataclass(frozen=True, slots=True)
class Preset:
    """How much risk the caller takes for how much gain."""

    keep_latest: int = 4
    """How many of the latest exchanges a cut leaves whatever they score."""

    never_dearer: bool = False
    """Whether what was saved must at all times pay for going back to everything."""


PRESETS: Final = {
    "balanced": Preset(),
    "guaranteed": Preset(never_dearer=True),
    "bold": Preset(keep_latest=2),
}


@dataclass(frozen=True, slots=True)
class Widths:
    """How likely an exchange must be needed: to be recalled, and to outlive a cut."""

    need: float
    keep: float


CHEAP: Final = Widths(0.7, 0.45)
"""Where cached input is cheap: what it pays to break a prompt for is the same in each mode."""

DEAR: Final = Widths(1.2, 0.875)
"""Where cached input is dear or there is none: times a mode's own threshold."""


def widths(rates: Rates, threshold: float) -> Widths:
    """Return at which likelihoods relevance is asked, in a mode that filters at `threshold`.

    Where cached input is cheap, a recall breaks a beginning that was paid for, so it needs a strong
    match; and a cut leaves what may be needed soon, the latest exchanges foremost.
    """
    if rates.is_cheap:
        return Widths(max(CHEAP.need, threshold), max(CHEAP.keep, threshold))
    return Widths(DEAR.need * threshold, DEAR.keep * threshold)


@dataclass(frozen=True, slots=True)
class Decision:
    """The request that is sent, and why; prices in units of the normal price of an input token."""

    messages: MessageSet
    mode: str
    """full, continue, recall, moved, back, cut or fresh."""

    reason: str
    tokens: int
    hit: int
    """Tokens that are expected to be read from the cache."""

    price: float
    price_of_everything: float
    """An estimate: what this turn would cost if everything had been sent at every turn."""

    savings_balance: float
    """The sum of these differences so far, this turn included."""

    moved: MessageSet = 0
    """The messages that are sent right before the question, and not in their places."""


def decide(
    turn: Turn, state: State | None, rates: Rates, now: float, preset: Preset
) -> tuple[Decision, State]:
    """Return what to send, and what to remember of it."""
    choice = _Choice(turn, state, rates, now, preset)
    candidate, kind, reason = choice.choose()
    return choice.decide(candidate, kind, reason)


class _Choice:
    """One turn's choice."""

    def __init__(
        self, turn: Turn, state: State | None, rates: Rates, now: float, preset: Preset
    ) -> None:
        self.turn, self.rates, self.now, self.preset = turn, rates, now, preset
        self.is_new = state is None
        before = state or State(array("Q"))
        self.common_length = _common_length(before.history, turn.hashes)
        self.is_edited = self.common_length < len(before.history)
        self.state = before.carried(turn.hashes)
        self.last = self.state.sent[-1] if self.state.sent else None
        self.alive = alive(self.state.sent, rates, now)
        self.tokens = np.array(turn.tokens, np.int64)
        self.sums: dict[MessageSet, PrefixSums] = {}
        self.everything = self._summed(turn.everything)
        self.price_of_everything = self._price_of_everything()

    def choose(self) -> tuple[Candidate, str, str]:
        """Return the request, its kind and the reason."""
        turn = self.turn
        if reason := self._hands_off():
            return Candidate(turn.everything), "full", reason
        if turn.is_continuation and self.last and self.last in self.alive:
            messages = turn.tied(turn.continued(self.last) | turn.need)
            return Candidate(messages), "continue", "answering"
        candidates = self._candidates()
        priced = [(candidate, *self._priced(candidate)) for candidate in candidates]
        allowed = [each for each in priced if self._is_allowed(*each)]
        reason = "cheapest" if len(allowed) == len(priced) else "bank"
        if not allowed:
            candidate, *_ = min(priced, key=lambda each: each[2])
        else:
            candidate, *_ = min(allowed, key=lambda each: (self._value(*each), -each[1]))
        return candidate, candidates[candidate], "no-state" if self.is_new else reason

    def _candidates(self) -> dict[Candidate, str]:
        """Return what may be sent, with what it is beside the requests before."""
        turn, last = self.turn, self.last
        listed = Candidates(turn, self.rates, self.preset.keep_latest)
        candidates: dict[Candidate, str] = {}
        for messages, kind in listed.requests(last, self.alive):
            candidates.setdefault(Candidate(turn.tied(messages)), kind)
        # A provider that finds whole requests again finds none that ends in what was moved.
        if last and last in self.alive and not self.rates.exact_match_only:
            moved = listed.with_moved(last)
            return candidates if moved is None else candidates | {moved: "moved"}
        return candidates

    def decide(self, candidate: Candidate, kind: str, reason: str) -> tuple[Decision, State]:
        """Return the decision for `candidate`, and the state with it."""
        total, cost = self._priced(candidate)
        lasting = self.turn.lasting(candidate)
        hit, relied_on = self._hit(self._summed(lasting))
        mode = self._mode(candidate, kind, hit)
        savings_balance = self.state.savings_balance + self.price_of_everything - cost
        decision = Decision(
            candidate.messages,
            mode,
            reason,
            total,
            hit,
            cost,
            self.price_of_everything,
            savings_balance,
            candidate.moved,
        )
        after = replace(
            self.state,
            sent=self.state.after(Sent(lasting, self.now)),
            at=self.now,
            savings_balance=savings_balance,
            turns=self.state.turns + 1,
            relied_on=relied_on,
            expected=hit,
        )
        return decision, after

    def _hands_off(self) -> str:
        """Return why everything is sent without a choice; empty where there is one."""
        turn, rates, total = self.turn, self.rates, self.everything.total
        if rates.has_cache and total < MIN_TOKENS:
            return "quiet"
        fixed = turn.front + turn.size(turn.fixed)
        if fixed > MOST_FIXED * total:
            return "fixed"
        last = self.alive[-1] if self.alive else None
        if last and rates.read <= NEARLY_FREE * rates.write and begins_with(turn.everything, last):
            return "nearly-free"
        return ""

    def _is_allowed(self, candidate: Candidate, total: int, cost: float) -> bool:
        """Tell whether what was saved so far pays for it, where that is asked."""
        limit = self.price_of_everything + self.state.savings_balance + 1e-6
        if self.preset.never_dearer:
            return cost + self._way_back(candidate) <= limit
        return self.rates.is_cheap or cost <= limit

    def _way_back(self, candidate: Candidate) -> float:
        """Return what it would add to the next turn to send everything again, after this."""
        rates = self.rates
        if not rates.has_cache:
            return 0.0
        sent = Sent(self.turn.lasting(candidate), self.now)
        after = alive(self.state.after(sent), rates, self.now)
        common_tokens = max(common(self.everything, each, rates) for each in after)
        lost = cached(self.everything.total, rates) - cached(common_tokens, rates)
        return rates.factor(self.everything.total) * (rates.write - rates.read) * lost

    def _value(self, candidate: Candidate, total: int, cost: float) -> float:
        """Return the price now and that of reading it again at the next turns."""
        rates = self.rates
        again = rates.read if rates.has_cache and total >= rates.min_prefix else 1.0
        return cost + min(REST, self.state.turns + 1) * again * rates.factor(total) * total

    def _priced(self, candidate: Candidate) -> tuple[int, float]:
        total = self._summed(candidate.messages).total
        hit, _ = self._hit(self._summed(self.turn.lasting(candidate)))
        return total, price(total, hit, self.rates)

    def _hit(self, request: PrefixSums) -> tuple[int, float]:
        """Return the tokens read from the cache, and the time of the request that brought them."""
        hits = [(common(request, each, self.rates), each.sent_at) for each in self.alive]
        tokens, at = max(hits, default=(0, 0.0))
        hit = cached(tokens, self.rates)
        return hit, at if hit else 0.0

    def _price_of_everything(self) -> float:
        rates, before = self.rates, 0
        is_warm = rates.has_cache and self.now - self.state.at <= rates.lifetime
        if self.common_length and is_warm and not (rates.exact_match_only and self.is_edited):
            before = self.everything.up_to(self.common_length)
        return price(self.everything.total, cached(before, rates), rates)

    def _mode(self, candidate: Candidate, kind: str, hit: int) -> str:
        """Return what the request is beside the last one, whatever candidate it came from."""
        if candidate.moved:
            return "moved"
        messages = candidate.messages
        if self.last is None:
            return "full" if messages == self.turn.everything else "fresh"
        if begins_with(messages, self.last):
            return "full" if messages == self.turn.everything else "continue"
        if kind in ("full", "back"):
            return "back"
        return kind if hit else "fresh"

    def _summed(self, messages: MessageSet) -> PrefixSums:
        sums = self.sums.get(messages)
        if sums is None:
            sums = PrefixSums(messages, self.tokens, self.turn.front)
            self.sums[messages] = sums
        return sums


def _common_length(old: array[int], new: array[int]) -> int:
    """Return with how many messages both begin."""
    if new[: len(old)] == old:
        return len(old)
    pairs = enumerate(zip(old, new, strict=False))
    return next((place for place, (x, y) in pairs if x != y), min(len(old), len(new)))
