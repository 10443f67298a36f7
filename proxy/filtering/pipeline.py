"""A request on its way through the cost gate: what matters first, then what it pays to send."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from proxy.cost import message_set
from proxy.cost.state import State
from proxy.filtering import conversation_state, result
from proxy.filtering.cache_estimates import Belief
from proxy.filtering.cost_gate import Gate, Judged, judged
from proxy.filtering.cpu_threads import beside
from proxy.filtering.result import Context, Wish
from proxy.wire.dialect import Dialect, Request


@dataclass(frozen=True, slots=True)
class Pending:
    """A request of which it is known what matters; what is sent depends on what was before."""

    judged: Judged
    request: Request
    dialect: Dialect
    wish: Wish
    milliseconds: float

    async def settled(self, *, is_kept: bool = True) -> Context:
        """Return what is forwarded, and remember it; unless `is_kept`, only look."""
        judged = self.judged
        page = await conversation_state.read(judged.conversation, judged.upstream, hold=is_kept)
        size = len(self.request.body)
        made, after = await beside(size, self._chosen, page.state, page.belief, time.time())
        if after and is_kept:
            await conversation_state.write(judged.conversation, after)
        return made

    def _chosen(
        self, state: State | None, belief: Belief, now: float
    ) -> tuple[Context, State | None]:
        began = time.perf_counter() - self.milliseconds / 1000
        try:
            gated, after = self.judged.chosen(state, belief, now)
            verdicts = self.judged.verdicts(gated.decision)
            moved = gated.decision.moved
            made = result.decided(self.request, self.dialect, self.wish, verdicts, began, moved)
            if made.verdicts is None:
                # The dialect has no body for it, so everything goes out.
                after = after.instead(message_set.below(len(self.request.messages)))
            return replace(made, gated=gated), after
        except Exception as error:
            return result.whole_after(error, self.request, self.wish, began), None


def weighed(request: Request, dialect: Dialect, wish: Wish, gate: Gate | None) -> Context | Pending:
    """Return what is forwarded of `request`, or what is pending where its cost is looked at."""
    began = time.perf_counter()
    if gate is None or wish.mode == "off" or not request.may_be_filtered:
        return result.filtered(request, dialect, wish)
    try:
        found = judged(
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
        return Pending(found, request, dialect, wish, result.since(began))
    except Exception as error:
        return result.whole_after(error, request, wish, began)
