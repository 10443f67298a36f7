"""What the views of the proxy's path do alike: read a body, find the target, keep account."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus

from proxy.accounting import conversation_capture, decision_writer, usage_writer
from proxy.accounting.call_finished import CallFinished
from proxy.common.access import access_of
from proxy.common.web.asgi import Scope, header
from proxy.errors import InvalidTarget
from proxy.filtering.result import FilterResult
from proxy.limits import allowlists, budgets, token_quota
from proxy.limits.budgets import Reservation
from proxy.limits.token_quota import QuotaReservation
from proxy.models import UsageRecord
from proxy.options import Bounds, options
from proxy.providers import lookup
from proxy.providers.cache import StoredProvider
from proxy.upstream import target
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.endpoint import DEFAULT, Provider, permitted_provider
from proxy.upstream.headers import RawHeaders
from proxy.upstream.relay import RelayState
from proxy.wire.dialect import Counts, Dialect, Route

Outcome = UsageRecord.Outcome


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way: what its usage row and its response headers are made of."""

    deadline: CallDeadline = field(init=False)
    """Set as soon as the provider is asked."""
    scope: Scope
    dialect: Dialect
    route: Route
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.perf_counter)
    target: str = ""
    model: str = ""
    filter_result: FilterResult | None = None
    reservation: Reservation | None = None
    """What it holds of budgets in money."""
    status: int = 0
    outcome: str = Outcome.REFUSED
    answered: float | None = None
    bounds: Bounds = field(default_factory=lambda: options().bounds)
    relay_state: RelayState = field(default_factory=RelayState)

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

    def response_headers(self) -> RawHeaders:
        """What we tell the caller of what was done, on streamed and whole answers alike."""
        self.answered = time.perf_counter()
        auth = (self.began - self.scope["began"]) * 1000
        filter_ms = self.filter_result.milliseconds if self.filter_result else 0.0
        upstream = (self.answered - self.began) * 1000 - filter_ms
        timing = b"auth;dur=%.2f, filter;dur=%.2f, upstream;dur=%.2f" % (auth, filter_ms, upstream)
        told = [(b"server-timing", timing)]
        if self.filter_result:
            told.append((b"x-alchemyst-context", self.filter_result.header.encode()))
        return told

    def record(self) -> None:
        """Hand over what the call leaves, to those who keep account of it."""
        access, result = access_of(self.scope), self.filter_result
        if access.records and result:
            self._record_decision(result)
        if self.relay_state.whole is not None and self.outcome == Outcome.COMPLETE:
            self._capture(self.relay_state.whole)
        self._settle()
        usage_writer.queue.add(self._finished())

    def _finished(self) -> CallFinished:
        access, result = access_of(self.scope), self.filter_result
        return CallFinished(
            created=self.created,
            request_id=self.scope["request_id"],
            caller_id=access.user.pk,
            key_id=str(access.key_id or ""),
            endpoint=self.route.name,
            target=self.target,
            # PostgreSQL takes no NUL in a text, and would refuse the whole batch.
            model=self.model.replace("\0", "")[:200],
            status=self.status,
            outcome=self.outcome,
            milliseconds=_since(self.began, time.perf_counter()),
            first_byte_milliseconds=_since(self.began, self.answered) if self.answered else None,
            tail=self.relay_state.tail(),
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

    async def reserve(self, host: str) -> None:
        """Hold what the call may take of its caller's tokens and money, where these are limited."""
        assert self.filter_result is not None
        limited: QuotaReservation | None = self.scope.get("allowance")
        if limited and limited.counts_tokens:
            await limited.reserve(token_quota.tokens_needed(self.filter_result))
        if budgets.none_exist():
            return
        access, request_id = access_of(self.scope), self.scope["request_id"]
        key_id = str(access.key_id or "")
        self.reservation = await budgets.reserve(
            access.user.pk, key_id, request_id, self.filter_result, host, self.model
        )

    async def settle(self) -> None:
        """Pay what the call did cost, and give back what else it holds."""
        assert self.reservation is not None
        was_answered = self.relay_state.size and self.status < HTTPStatus.BAD_REQUEST
        counts = token_quota.completed(self.filter_result, self.relay_state, self._reported())
        await self.reservation.settle(counts if was_answered else None)

    def _settle(self) -> None:
        limited: QuotaReservation | None = self.scope.get("allowance")
        was_answered = self.relay_state.size and self.status < HTTPStatus.BAD_REQUEST
        if limited and limited.counts_tokens and was_answered:
            limited.settle(
                token_quota.tokens_used(self.filter_result, self.relay_state, self._reported())
            )

    def _reported(self) -> Counts:
        if self.counts is None:
            self.counts = self.dialect.reported(b"".join(self.relay_state.tail()))
        return self.counts

    def _capture(self, answer: list[bytes]) -> None:
        access = access_of(self.scope)
        if self.status != HTTPStatus.OK or self.filter_result is None or access.key_id is None:
            return
        conversation_capture.queue.add(
            conversation_capture.CapturedConversation(
                owner_id=access.user.pk,
                key_id=access.key_id,
                created=self.created,
                dialect=self.dialect,
                request=self.filter_result.request,
                answer=b"".join(answer),
            )
        )

    def _record_decision(self, context: FilterResult) -> None:
        access = access_of(self.scope)
        decision_writer.queue.add(
            decision_writer.DecisionEntry(
                request_id=self.scope["request_id"],
                owner_id=access.user.pk,
                key_id=str(access.key_id),
                setting=access.records,
                created=self.created,
                model=self.model,
                filter_result=context,
            )
        )


def _since(began: float, ended: float) -> int:
    return round((ended - began) * 1000)


async def provider_of(call: Call, upstream_key: str | None) -> Provider | None:
    """Return the provider that a path names, if it may be asked; None for the built-in model.

    A name is looked up among the caller's stored providers; anything else is a URL with its key,
    which stands in the path if it is not `upstream_key`.
    Raises InvalidRequest, InvalidTarget, TargetNotAllowed or KeyUnreadable.
    """
    path, scope = call.route.target, call.scope
    permitted = access_of(scope).allowed_hosts
    if path == DEFAULT:
        allowlists.check_builtin(permitted)
        return None
    cost = ""
    if lookup.is_provider_name(path):
        stored = await _stored_provider(call, upstream_key)
        base, key, cost = stored.base, stored.key, stored.cost
    else:
        external = target.read(path, upstream_key or call.dialect.key(scope))
        base, key = external.base, external.key
    provider = permitted_provider(base, key, own_host=header(scope, b"host") or "")
    allowlists.check_host(base, permitted)
    return replace(provider, cost=cost) if cost else provider


async def _stored_provider(call: Call, upstream_key: str | None) -> StoredProvider:
    provider = await lookup.get(access_of(call.scope).user.pk, call.route.target)
    if provider is None:
        # What stands here may be a key whose URL was forgotten, so it is not repeated.
        raise InvalidTarget(
            "No provider is stored under this name. Store one by POST /api/v1/providers "
            "{name, base_url, key}, or write a provider's URL and its key into the path, such as "
            "/api/v1/proxy/https://api.openai.com/v1/{key}/chat/completions."
        )
    if provider.dialect != call.dialect.NAME:
        raise InvalidTarget(
            f"This provider is stored with the dialect '{provider.dialect}'; "
            f"this endpoint speaks '{call.dialect.NAME}'."
        )
    if upstream_key is not None:
        raise InvalidTarget("A stored provider has its key: leave out X-Upstream-Api-Key.")
    return provider
