"""A request on its way through the cost gate: what matters first, then what it pays to send."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from proxy.cost import message_set
from proxy.cost.state import State
from proxy.filtering import conversation_state, result
from proxy.filtering.cache_estimates import CacheEstimate
from proxy.filtering.cost_gate import CostAssessment, CostGateConfig, assess
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.wire.dialect import Dialect, Request


@dataclass(frozen=True, slots=True)
class PendingDecision:
    """A request of which it is known what matters; what is sent depends on what was before."""

    assessment: CostAssessment
    request: Request
    dialect: Dialect
    options: FilterOptions
    milliseconds: float

    async def resolve(self, *, is_kept: bool = True) -> FilterResult:
        """Return what is forwarded, and remember it; unless `is_kept`, only look."""
        judged = self.assessment
        page = await conversation_state.read(judged.conversation, judged.upstream, hold=is_kept)
        size = len(self.request.body)
        made, after = await run_in_thread_if_large(
            size, self._chosen, page.state, page.cache_estimate, time.time()
        )
        if after and is_kept:
            await conversation_state.write(judged.conversation, after)
        return made

    def _chosen(
        self, state: State | None, belief: CacheEstimate, now: float
    ) -> tuple[FilterResult, State | None]:
        began = time.perf_counter() - self.milliseconds / 1000
        try:
            gated, after = self.assessment.decide(state, belief, now)
            verdicts = self.assessment.verdicts(gated.decision)
            moved = gated.decision.moved
            made = result.apply_verdicts(
                self.request, self.dialect, self.options, verdicts, began, moved
            )
            if made.verdicts is None:
                # The dialect has no body for it, so everything goes out.
                after = after.instead(message_set.below(len(self.request.messages)))
            return replace(made, cost_decision=gated), after
        except Exception as error:
            return result.whole_after(error, self.request, self.options, began), None


def start_filtering(
    request: Request, dialect: Dialect, wish: FilterOptions, gate: CostGateConfig | None
) -> FilterResult | PendingDecision:
    """Return what is forwarded of `request`, or what is pending where its cost is looked at."""
    began = time.perf_counter()
    if gate is None or wish.mode == "off" or not request.may_be_filtered:
        return result.filtered(request, dialect, wish)
    try:
        found = assess(
            request,
            gate,
            wish.mode,
            pinned=wish.pinned,
            excluded=wish.excluded,
            deadline=time.monotonic() + wish.seconds,
            is_shadow=wish.is_shadow,
        )
        if found is None:
            return result.filtered(request, dialect, wish)
        return PendingDecision(found, request, dialect, wish, result.since(began))
    except Exception as error:
        return result.whole_after(error, request, wish, began)
