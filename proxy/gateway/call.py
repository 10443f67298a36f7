"""A call through the proxy: what HTTP adds to one to a provider, and which provider it names."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus

from proxy import wire
from proxy.accounting import conversation_capture, decision_writer
from proxy.calls.upstream_call import Outcome, UpstreamCall
from proxy.common.access import Access, access_of
from proxy.common.web import key_headers
from proxy.common.web.asgi import Scope, header
from proxy.errors import InvalidTarget
from proxy.filtering.result import FilterResult
from proxy.limits import allowlists, token_quota
from proxy.meaning import learner
from proxy.providers import lookup
from proxy.providers.cache import StoredProvider
from proxy.relevance.text.embeddings import READ
from proxy.upstream import target
from proxy.upstream.endpoint import DEFAULT, Provider, permitted_provider
from proxy.upstream.relay import RelayState
from proxy.upstream.transport import RawHeaders
from proxy.wire.answer_end import AnswerEnd
from proxy.wire.answer_text import answer_text
from proxy.wire.dialect import Counts, Dialect, Route

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')

__all__ = ["Call", "Outcome", "provider_of"]


@dataclass(slots=True, eq=False, kw_only=True)
class Call(UpstreamCall):
    """A caller's request on its way, and what is told of it in the answer's headers."""

    scope: Scope
    access: Access
    relay_state: RelayState = field(init=False)
    tells_usage: bool = True
    """Whether the answer is of what was used for this call: a list of old calls is not."""

    def __post_init__(self) -> None:
        self.relay_state = RelayState(AnswerEnd(self.dialect, self.route))

    def speak(self, dialect: Dialect) -> None:
        """Be of another dialect, before anything is asked."""
        self.dialect = dialect
        self.relay_state = RelayState(AnswerEnd(dialect, self.route))

    @classmethod
    def begin(cls, scope: Scope, dialect: Dialect, route: Route) -> Call:
        """Return the call that a request asks for."""
        access = access_of(scope)
        return cls(
            scope=scope,
            access=access,
            dialect=dialect,
            route=route,
            endpoint=route.name,
            user_id=access.user.pk,
            key_id=str(access.key_id or ""),
            request_id=scope["request_id"],
            quota=scope.get("allowance"),
        )

    def response_headers(self) -> RawHeaders:
        """What we tell the caller of what was done, on streamed and whole answers alike."""
        self.answered = time.perf_counter()
        auth = (self.began - self.scope["began"]) * 1000
        filter_ms = self.filter_result.milliseconds if self.filter_result else 0.0
        upstream = (self.answered - self.began) * 1000 - filter_ms
        timing = b"auth;dur=%.2f, filter;dur=%.2f, upstream;dur=%.2f" % (auth, filter_ms, upstream)
        headers = [(b"server-timing", timing)]
        if self.filter_result:
            headers.append((b"x-alchemyst-context", self.filter_result.header.encode()))
        return headers

    def usage_texts(self) -> list[bytes]:
        return self.relay_state.end.usage_texts() if self.tells_usage else []

    def used(self) -> Counts | None:
        """What the call took: as the provider counted, else by our measure."""
        if not self.relay_state.end.size or self.status >= HTTPStatus.BAD_REQUEST:
            return None
        if self.counts is None:
            self.counts = self.dialect.reported(b"".join(self.usage_texts()))
        return token_quota.completed(self.filter_result, self.relay_state.end, self.counts)

    def record(self) -> None:
        """Hand the finished call over, and what its key wants kept of it besides."""
        if not self.model and self.tells_usage:
            self.model = _model_in(self.relay_state.end.tail())
        if self.access.records and self.filter_result:
            self._record_decision(self.filter_result)
        if self.relay_state.whole is not None and self.outcome == Outcome.COMPLETE:
            self._capture(self.relay_state.whole)
        if self.relay_state.beginning and self.outcome == Outcome.COMPLETE:
            self._learn(self.relay_state.beginning)
        # `super()` means the class as it was before it got its slots.
        UpstreamCall.record(self)

    def _learn(self, beginning: list[bytes]) -> None:
        """Have it known what the answer means, before the next turn brings it as a message."""
        if self.status == HTTPStatus.OK:
            is_whole = sum(map(len, beginning)) == self.relay_state.end.size
            read = partial(_text_of, self.dialect, beginning, is_whole)
            learner.learn_answer(self.user_id, read)

    def _capture(self, answer: list[bytes]) -> None:
        key_id = self.access.key_id
        if self.status != HTTPStatus.OK or self.filter_result is None or key_id is None:
            return
        conversation_capture.queue.add(
            conversation_capture.CapturedConversation(
                owner_id=self.user_id,
                key_id=key_id,
                created=self.created,
                dialect=self.dialect,
                request=self.filter_result.request,
                answer=b"".join(answer),
            )
        )

    def _record_decision(self, result: FilterResult) -> None:
        decision_writer.queue.add(
            decision_writer.DecisionEntry(
                request_id=self.request_id,
                owner_id=self.user_id,
                key_id=str(self.access.key_id),
                setting=self.access.records,
                created=self.created,
                model=self.model,
                filter_result=result,
            )
        )


def _model_in(answer: bytes) -> str:
    """Return the model that the end of an answer names; empty if it names none."""
    names = _MODEL.findall(answer)
    return names[-1].decode("utf-8", "replace") if names else ""


def _text_of(dialect: Dialect, beginning: list[bytes], is_whole: bool) -> str:
    text = answer_text(dialect, b"".join(beginning), is_whole=is_whole)
    return text if is_whole or len(text) >= READ else ""


async def provider_of(call: Call, upstream_key: str | None) -> Provider | None:
    """Return the provider that a path names, if it may be asked; None for the built-in model.

    A name is looked up among the caller's stored providers, whose key goes up whatever else the
    caller shows: clients often insist on one. Anything else is a URL with its key: from a header
    that clients show theirs in, else `upstream_key`, else the query or the path.
    Raises InvalidRequest, InvalidTarget, TargetNotAllowed or KeyUnreadable.
    """
    path, scope = call.route.target, call.scope
    permitted = call.access.allowed_hosts
    if path == DEFAULT:
        allowlists.check_builtin(permitted)
        return None
    cost = key_header = ""
    if lookup.is_provider_name(path):
        stored = await _stored_provider(call, upstream_key)
        is_known, key, cost = call.route.is_known, stored.key, stored.cost
        base = stored.base_for(call.route.endpoint) if is_known else stored.base
    else:
        own_way, _ = call.dialect.credential("")
        client_key = key_headers.providers_in(scope, own_way)
        header_key = client_key.key if client_key else upstream_key
        external = target.read(path, header_key or call.dialect.key(scope))
        base, key = external.base, external.key
        if client_key and client_key.name == key_headers.AZURE:
            key_header = client_key.name.decode()
    own_host = header(scope, b"host") or ""
    provider = permitted_provider(base, key, own_host=own_host, key_header=key_header)
    allowlists.check_host(base, permitted)
    return replace(provider, cost=cost) if cost else provider


async def _stored_provider(call: Call, upstream_key: str | None) -> StoredProvider:
    provider = await lookup.get(call.user_id, call.route.target)
    if provider is None:
        # What stands here may be a key whose URL was forgotten, so it is not repeated.
        raise InvalidTarget(
            "No provider is stored under this name. Store one by POST /api/v1/providers "
            "{name, base_url, dialect, key}, or write a provider's URL into the path, such as "
            "/api/v1/proxy/https://api.openai.com/v1/chat/completions, and send its key in the "
            "header X-Upstream-Api-Key."
        )
    if not call.route.is_known:
        # No path of ours says how it is spoken to; whoever stored it has.
        call.speak(wire.named(provider.dialect))
    if upstream_key is not None:
        raise InvalidTarget("A stored provider has its key: leave out X-Upstream-Api-Key.")
    return provider
