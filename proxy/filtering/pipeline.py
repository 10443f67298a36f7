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
        assessment = self.assessment
        conversation = await conversation_state.read(
            assessment.conversation, assessment.upstream, hold=is_kept
        )
        size = len(self.request.body)
        filter_result, after = await run_in_thread_if_large(
            size, self._decide, conversation.state, conversation.cache_estimate, time.time()
        )
        if after and is_kept:
            await conversation_state.write(assessment.conversation, after)
        return filter_result

    def _decide(
        self, state: State | None, estimate: CacheEstimate, now: float
    ) -> tuple[FilterResult, State | None]:
        began = time.perf_counter() - self.milliseconds / 1000
        try:
            cost_decision, after = self.assessment.decide(state, estimate, now)
            verdicts = self.assessment.verdicts(cost_decision.decision)
            moved = cost_decision.decision.moved
            filter_result = result.apply_verdicts(
                self.request, self.dialect, self.options, verdicts, began, moved
            )
            if filter_result.verdicts is None:
                # The dialect has no body for it, so everything goes out.
                after = after.instead(message_set.below(len(self.request.messages)))
            return replace(filter_result, cost_decision=cost_decision), after
        except Exception as error:
            return result.whole_after(error, self.request, self.options, began), None


def start_filtering(
    request: Request, dialect: Dialect, options: FilterOptions, config: CostGateConfig | None
) -> FilterResult | PendingDecision:
    """Return what is forwarded of `request`, or what is pending where its cost is looked at."""
    began = time.perf_counter()
    if config is None or options.mode == "off" or not request.may_be_filtered:
        return result.filtered(request, dialect, options)
    if options.leaves_alone(request):
        return result.short(request, options, began)
    try:
        assessment = assess(
            request,
            config,
            options.mode,
            pinned=options.pinned,
            excluded=options.excluded,
            deadline=time.monotonic() + options.seconds,
            is_shadow=options.is_shadow,
        )
        if assessment is None:
            return result.filtered(request, dialect, options)
        return PendingDecision(assessment, request, dialect, options, result.since(began))
    except Exception as error:
        return result.whole_after(error, request, options, began)
