"""A request on its way through the filter: what goes to the provider, and the account of it.

Whatever happens in the filter, the request goes on: when it fails or takes too long, the original
bytes do, and the incident is logged and counted in the call's usage row.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace

from proxy.cost import message_set
from proxy.cost.message_set import MessageSet
from proxy.filtering.cost_gate import CostDecision
from proxy.relevance import filter as relevance
from proxy.relevance.assessment import TooSlow
from proxy.relevance.filter import Verdict
from proxy.wire import token_count
from proxy.wire.dialect import Dialect, Request

logger = logging.getLogger("proxy.filtering.result")


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """How a request is to be filtered."""

    mode: str
    pinned: frozenset[int] = frozenset()
    excluded: frozenset[int] = frozenset()
    seconds: float = 1.0
    owner_id: int = 0
    """Whose texts these are; 0: nobody's, so that nothing of them is looked up or kept."""

    encoder_seconds: float = 0.0
    """How long the request may wait for what its texts mean."""

    is_shadow: bool = False
    """Whether the original is forwarded all the same, with the account of what would have been."""

    short_tokens: int = 0
    """Below how many tokens in all nothing is left out, but for what is excluded."""

    def leaves_alone(self, request: Request) -> bool:
        """Whether a request is so short that leaving out saves next to nothing, and risks much."""
        may_be_filtered = self.mode != "off" and request.may_be_filtered
        if self.excluded or not self.short_tokens or not may_be_filtered:
            return False
        return _tokens(request, range(len(request.messages))) < self.short_tokens


@dataclass(frozen=True, slots=True)
class FilterResult:
    """What is forwarded of a request, in numbers and bytes."""

    body: bytes
    mode: str
    filtering: str
    """filtered, unchanged, shadow, off, failed, too_slow; undone when the provider refused the
    filtered."""
    messages_before: int
    messages_after: int
    tokens_before: int
    tokens_after: int
    milliseconds: float
    request: Request = field(repr=False)
    verdicts: list[Verdict] | None = field(default=None, repr=False)
    """What the filter decided of each message; None where that is not what was done."""

    cost_decision: CostDecision | None = field(default=None, repr=False)
    """What the cost gate decided; None where it was off."""

    confidence: float | None = None
    """How sure it is that nothing needed went; None where relevance alone dropped nothing."""

    reason: str = ""
    """Why everything was forwarded: `short`, or what the request was kept for; or nothing."""

    meaning: str = ""
    """By what texts were compared: `vectors`, `words` alone; empty where nothing was."""

    @property
    def header(self) -> str:
        """The value of X-Alchemyst-Context."""
        text = (
            f"mode={self.mode}; result={self.filtering}; "
            f"kept={self.messages_after}; dropped={self.messages_before - self.messages_after}; "
            f"tokens-before={self.tokens_before}; tokens-after={self.tokens_after}; "
            f"ms={self.milliseconds:.2f}"
        )
        if self.confidence is not None:
            text = f"{text}; confidence={self.confidence:.2f}"
        if self.reason:
            return f"{text}; reason={self.reason}"
        return f"{text}; {self.cost_decision.header}" if self.cost_decision else text


def filtered(
    request: Request, dialect: Dialect, options: FilterOptions, began: float | None = None
) -> FilterResult:
    """Return what is forwarded of `request`, on which work `began` at that `time.perf_counter()`.

    Its own bytes are, where nothing was dropped or may be, and in shadow.
    """
    began = time.perf_counter() if began is None else began
    if options.mode == "off":
        return unfiltered(request, options.mode, "off", began)
    if not request.may_be_filtered:
        return untouched(request, options, began, request.kept_for)
    if options.leaves_alone(request):
        return untouched(request, options, began, "short")
    try:
        verdicts = relevance.decide(
            request.messages,
            options.mode,
            pinned=options.pinned,
            excluded=options.excluded,
            deadline=time.monotonic() + options.seconds,
        )
        outcome = apply_verdicts(request, dialect, options, verdicts, began)
        outcome = replace(outcome, meaning=verdicts.meaning)
        is_whole = outcome.messages_after == outcome.messages_before
        return outcome if is_whole else replace(outcome, confidence=verdicts.confidence)
    except Exception as error:
        # Fail open: whatever the fault, the request is forwarded.
        return whole_after(error, request, options, began)


def whole_after(
    error: Exception, request: Request, options: FilterOptions, began: float
) -> FilterResult:
    """Return `request` as it came, after the filter failed or took too long."""
    if isinstance(error, TooSlow):
        logger.warning("The filter took longer than %.1f s; forwarded whole", options.seconds)
        return unfiltered(request, options.mode, "too_slow", began)
    logger.error("The filter failed; forwarded whole", exc_info=error)
    return unfiltered(request, options.mode, "failed", began)


def untouched(request: Request, options: FilterOptions, began: float, reason: str) -> FilterResult:
    """Return `request` as it came, since the filter has no business with it."""
    filtering = "shadow" if options.is_shadow else "unchanged"
    return replace(unfiltered(request, options.mode, filtering, began), reason=reason)


def apply_verdicts(
    request: Request,
    dialect: Dialect,
    options: FilterOptions,
    verdicts: list[Verdict],
    began: float,
    moved: MessageSet = 0,
) -> FilterResult:
    """Return what is forwarded by these verdicts; without them where no body could be written."""
    shadow = "shadow" if options.is_shadow else ""
    indices = ordered(request, verdicts, moved)
    if len(indices) == len(request.messages):
        whole = unfiltered(request, options.mode, shadow or "unchanged", began, verdicts)
        return replace(whole, reason=request.kept_for)
    body = dialect.written(request, relevance.joins(request.messages, indices))
    if body is None:
        return unfiltered(request, options.mode, shadow or "unchanged", began)
    return FilterResult(
        body=request.body if shadow else body,
        mode=options.mode,
        filtering=shadow or "filtered",
        messages_before=len(request.messages),
        messages_after=len(indices),
        tokens_before=_tokens(request, range(len(request.messages))),
        tokens_after=_tokens(request, indices),
        milliseconds=since(began),
        request=request,
        verdicts=verdicts,
    )


def ordered(request: Request, verdicts: list[Verdict], moved: MessageSet = 0) -> list[int]:
    """Return the places that go out, in their order: what is moved, right before the question."""
    indices = relevance.indices_to_send(verdicts)
    if not moved:
        return indices
    question = max(place for place in indices if request.messages[place].role == "user")
    stays = [place for place in indices if place < question and not moved >> place & 1]
    return [*stays, *message_set.listed(moved), *(place for place in indices if place >= question)]


def unfiltered(
    request: Request,
    mode: str,
    filtering: str,
    began: float,
    verdicts: list[Verdict] | None = None,
) -> FilterResult:
    """Return `request` as it came."""
    count = len(request.messages)
    total = _tokens(request, range(count))
    return FilterResult(
        body=request.body,
        mode=mode,
        filtering=filtering,
        messages_before=count,
        messages_after=count,
        tokens_before=total,
        tokens_after=total,
        milliseconds=since(began),
        request=request,
        verdicts=verdicts,
    )


def _tokens(request: Request, places: range | list[int]) -> int:
    return token_count.PER_REQUEST + sum(request.messages[place].tokens for place in places)


def since(began: float) -> float:
    """Return the milliseconds since an instant of `time.perf_counter()`."""
    return (time.perf_counter() - began) * 1000
