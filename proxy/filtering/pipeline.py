"""A request on its way through the filter: what it means, what matters, what it pays to send.

Each step is done at once where all is known for it. Where one has to wait, for its question's
vector or for what is remembered of the conversation, `resolve` does, and no thread meanwhile.
"""

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
from proxy.meaning.conversation import Meanings, meanings_of
from proxy.wire.dialect import Dialect, Request


@dataclass(frozen=True, slots=True)
class PendingMeaning:
    """A request of which it is not known yet what its texts mean."""

    meanings: Meanings
    request: Request
    dialect: Dialect
    options: FilterOptions
    config: CostGateConfig | None

    async def resolve(self, *, is_kept: bool = True) -> FilterResult | PendingDecision:
        """Return what is forwarded, or what is pending; by words alone where that takes long."""
        began = time.perf_counter()
        await self.meanings.recollection.complete(self.options.encoder_seconds)
        size = len(self.request.body)
        return await run_in_thread_if_large(size, self._start, result.since(began))

    def _start(self, waited: float) -> FilterResult | PendingDecision:
        request = replace(self.request, messages=self.meanings.attached())
        began = time.perf_counter() - waited / 1000
        return _with_vectors(request, self.dialect, self.options, self.config, began)


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
            meaning = self.assessment.widths.meaning
            return replace(filter_result, cost_decision=cost_decision, meaning=meaning), after
        except Exception as error:
            return result.whole_after(error, self.request, self.options, began), None


Step = FilterResult | PendingMeaning | PendingDecision


def start_filtering(
    request: Request, dialect: Dialect, options: FilterOptions, config: CostGateConfig | None
) -> Step:
    """Return what is forwarded of `request`, or what is pending; `finish` takes it to its end."""
    began = time.perf_counter()
    if options.leaves_alone(request):
        return result.untouched(request, options, began, "short")
    if options.mode != "off" and request.may_be_filtered and options.owner_id:
        meanings = meanings_of(request.messages, options.owner_id)
        if meanings and not meanings.is_complete:
            return PendingMeaning(meanings, request, dialect, options, config)
        if meanings:
            request = replace(request, messages=meanings.attached())
    return _with_vectors(request, dialect, options, config, began)


async def finish(step: Step, *, is_kept: bool = True) -> FilterResult:
    """Return what is forwarded; what was decided is remembered if `is_kept`."""
    while not isinstance(step, FilterResult):
        step = await step.resolve(is_kept=is_kept)
    return step


def _with_vectors(
    request: Request,
    dialect: Dialect,
    options: FilterOptions,
    config: CostGateConfig | None,
    began: float,
) -> FilterResult | PendingDecision:
    """Return what is forwarded of a request whose messages have their vectors, or none has."""
    if config is None or options.mode == "off" or not request.may_be_filtered:
        return result.filtered(request, dialect, options, began)
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
            return result.filtered(request, dialect, options, began)
        return PendingDecision(assessment, request, dialect, options, result.since(began))
    except Exception as error:
        return result.whole_after(error, request, options, began)
