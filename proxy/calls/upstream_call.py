"""One call to a provider, from what it may take until its account is handed over."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from proxy.accounting import usage_writer
from proxy.accounting.call_finished import CallFinished
from proxy.errors import AccessEnded
from proxy.filtering.result import FilterResult, unfiltered
from proxy.limits import budgets, token_quota
from proxy.limits.budgets import Reservation
from proxy.limits.token_quota import QuotaReservation
from proxy.models import UsageRecord
from proxy.options import Bounds, options
from proxy.upstream import relay
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.endpoint import Provider
from proxy.upstream.transport import Answer, Body, RawHeaders
from proxy.wire import openai
from proxy.wire.dialect import Counts, Dialect, Route

Outcome = UsageRecord.Outcome


@dataclass(slots=True, eq=False, kw_only=True)
class UpstreamCall:
    """One call on its way, whoever it is for: what its usage row is made of."""

    deadline: CallDeadline = field(init=False)
    """Set as soon as the provider is asked."""

    dialect: Dialect
    route: Route
    endpoint: str
    """As usage rows name it."""

    user_id: int
    key_id: str
    request_id: str
    model: str = ""
    persona: str = ""
    quota: QuotaReservation | None = None
    """What it holds of its caller's limits, where these are counted here."""

    reservation: Reservation | None = None
    """What it holds of budgets in money."""

    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.perf_counter)
    answered: float | None = None
    target: str = ""
    filter_result: FilterResult | None = None
    status: int = 0
    outcome: str = Outcome.REFUSED
    bounds: Bounds = field(default_factory=lambda: options().bounds)
    counts: Counts | None = None
    """What the provider counted, if somebody could not wait for the usage row."""

    is_aborted: bool = False
    """Whether the caller's access ended since it was let in."""

    def abort(self) -> None:
        """End the call, whether it waits for its provider already or will; from any thread."""
        self.is_aborted = True
        deadline: CallDeadline | None = getattr(self, "deadline", None)
        if deadline:
            deadline.abort()

    async def reserve(self, host: str) -> None:
        """Hold what the call may take of its caller's tokens and money, where these are limited.

        Of what passes unread nothing is known before: it needs but something left of both.
        """
        result = self.filter_result
        if self.quota and self.quota.counts_tokens:
            await self.quota.reserve(token_quota.tokens_needed(result) if result else 0)
        if budgets.none_exist():
            return
        self.reservation = await budgets.reserve(
            self.user_id, self.key_id, self.request_id, result, host, self.model
        )

    async def open_filtered(self, provider: Provider, headers: RawHeaders) -> Answer:
        """Ask with what the filter left; what is refused filtered is asked once more as it came."""
        result = self.filter_result
        assert result is not None
        answer = await self.open(provider, headers, result.body)
        if answer.status == 400 and result.filtering == "filtered":
            relay.release(provider, answer)
            whole = unfiltered(result.request, result.mode, "undone", time.perf_counter())
            self.filter_result = replace(whole, milliseconds=result.milliseconds)
            answer = await self.open(provider, headers, whole.body)
        return answer

    async def open(self, provider: Provider, headers: RawHeaders, body: Body) -> Answer:
        """Ask the provider, with its key, if the caller may still do so.

        Whoever has the answer gives it to `relay.release`, whatever happens.
        """
        if self.is_aborted:
            raise AccessEnded
        translation, endpoint = provider.translation, self.route.endpoint
        if provider.key:
            headers = [*headers, self._credential(provider)]
        result = self.filter_result
        if (
            isinstance(body, bytes)
            and provider.model
            and result
            and provider.model != result.request.model
        ):
            body = openai.with_model(body, provider.model)
        if isinstance(body, bytes) and translation:
            body = translation.request(body, may_see=bool(options().c1_base_url))
            endpoint = f"/{openai.COMPLETIONS}"
        return await relay.send(provider, self.route.method, endpoint, headers, body, self.deadline)

    def _credential(self, provider: Provider) -> tuple[bytes, bytes]:
        """Return the one header by which the provider is shown its key."""
        if provider.key_header:
            return provider.key_header.encode(), provider.key.encode()
        dialect = openai if provider.translation else self.dialect
        name, value = dialect.credential(provider.key)
        return name.encode(), value.encode()

    def usage_texts(self) -> list[bytes]:
        """What of an answer may hold its usage, as long as nobody has read that."""
        return []

    def used(self) -> Counts | None:
        """What the call took; None where there is nothing to pay."""
        return self.counts

    def record(self) -> None:
        """Count the tokens it took, and hand the finished call to those who keep account of it."""
        if self.quota and self.quota.counts_tokens and (used := self.used()):
            self.quota.settle((used["prompt_tokens"] or 0) + (used["completion_tokens"] or 0))
        usage_writer.queue.add(self._finished())

    async def settle(self) -> None:
        """Pay what the call did cost, and give back what else it holds of budgets."""
        if self.reservation:
            await self.reservation.settle(self.used())

    def _finished(self) -> CallFinished:
        result = self.filter_result
        return CallFinished(
            created=self.created,
            request_id=self.request_id,
            caller_id=self.user_id,
            key_id=self.key_id,
            endpoint=self.endpoint,
            target=self.target,
            # PostgreSQL takes no NUL in a text, and would refuse the whole batch.
            model=self.model.replace("\0", "")[:200],
            persona=self.persona[:100],
            status=self.status,
            outcome=self.outcome,
            milliseconds=_since(self.began, time.perf_counter()),
            first_byte_milliseconds=_since(self.began, self.answered) if self.answered else None,
            usage_texts=self.usage_texts(),
            parse_usage=self.dialect.reported,
            counts=self.counts,
            cost_decision=result.cost_decision if result else None,
            mode=result.mode if result else "",
            filtering=result.filtering if result else "",
            messages_before=result.messages_before if result else 0,
            messages_after=result.messages_after if result else 0,
            tokens_before=result.tokens_before if result else 0,
            tokens_after=result.tokens_after if result else 0,
        )


def _since(began: float, ended: float) -> int:
    return round((ended - began) * 1000)
