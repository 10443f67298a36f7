"""Ask a provider for an answer of our own making, and read it event by event.

The chats ask by the rules of the proxy's path: the same guard, clients, bounds, filter and usage
rows. A provider that fails for a moment is asked once more, as long as it has said nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from proxy.calls.cost_gate import build_gate_config
from proxy.calls.upstream_call import Outcome, UpstreamCall
from proxy.common.web.asgi import ClientDisconnected, Receive
from proxy.completions.request import CompletionRequest, dialect_of, encode
from proxy.completions.upstream_errors import (
    LONGEST_PAUSE_SECONDS,
    Refusal,
    read_refusal,
    reported_refusal,
)
from proxy.errors import ApiError, UpstreamBroken
from proxy.filtering import kill_switch
from proxy.filtering.cost_gate import CostGateConfig
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.filtering.pipeline import Step, finish, start_filtering
from proxy.filtering.result import FilterOptions, FilterResult, filtered
from proxy.meaning import learner
from proxy.meaning.conversation import is_worth_encoding
from proxy.options import options
from proxy.relevance import modes
from proxy.upstream import relay
from proxy.upstream.builtin_server import CONTEXT as BUILTIN_WINDOW
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.endpoint import Provider, builtin_provider, permitted_provider
from proxy.upstream.transport import Answer, RawHeaders
from proxy.wire.dialect import Request, StreamEvent, latest
from proxy.wire.reported_errors import ReportedError, read_error
from proxy.wire.sse import EventReader

OnEvent = Callable[[StreamEvent], None]

# A whole answer, where a provider does not stream or says it all again, is no longer than this.
LONGEST_WHOLE = 10 * 1024 * 1024
# What fails for a moment is asked once more: after so many seconds, or as it says itself.
PAUSE_SECONDS = 0.5
# Of the built-in model's window, so much is left for its answer.
ANSWER_TOKENS = 1024

REQUEST_HEADERS: RawHeaders = [
    (b"accept", b"text/event-stream"),
    (b"accept-encoding", b"identity"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"Alchemyst"),
]

logger = logging.getLogger(__name__)


async def never() -> dict[str, Any]:
    """Wait for a client that cannot leave: nobody's."""
    return await asyncio.Future()


class Completion(UpstreamCall):
    """One answer: `prepare` it, then `stream` it."""

    filter_result: FilterResult
    """Set by `prepare`."""

    def __init__(self, request: CompletionRequest) -> None:
        dialect = dialect_of(request)
        self._body, route = encode(request)
        super().__init__(
            dialect=dialect,
            route=route,
            endpoint=request.endpoint,
            user_id=request.user_id,
            key_id=request.key_id,
            request_id=request.request_id,
            model=request.model,
            persona=request.persona,
        )
        self.request = request
        self.finish = ""
        self.ignored = 0
        """Events that could not be read."""
        self.bounds = replace(self.bounds, total=min(self.bounds.total, request.seconds))
        self._is_whole = False
        self._texts: list[str] = []

    @property
    def offset(self) -> int:
        """How many messages of the body stand before the first of the request's."""
        return 1 if self.request.system and self.dialect.SYSTEM_IS_A_MESSAGE else 0

    async def prepare(self) -> FilterResult:
        """Filter the request; no provider is asked yet."""
        body, gate_config = self._body, await self._gate_config()
        step = await run_in_thread_if_large(len(body), self._filter, body, gate_config)
        self.filter_result = await finish(step)
        if self.request.provider is None and not options().c1_base_url:
            self.filter_result = await run_in_thread_if_large(len(body), self._fitted)
        return self.filter_result

    async def stream(self, on_event: OnEvent, receive: Receive = never) -> None:
        """Ask, and hand each event of the answer to `on_event`, to its end.

        Raises UpstreamUnreachable, UpstreamTimeout, UpstreamRefused, UpstreamBroken, InvalidTarget
        or ModelUnavailable; and ClientDisconnected when `receive` tells that the caller left.
        """
        self._on_event = on_event
        self.status, self.outcome = 200, Outcome.BROKEN
        try:
            provider = await self._provider()
            self.target = provider.name
            await self.reserve(provider.name)
            with CallDeadline(receive, self.bounds) as self.deadline:
                await self._ask(provider)
            self.outcome = Outcome.COMPLETE
            self._learn()
        except ApiError as error:
            self.status = error.status
            if self.outcome != Outcome.FAILED:
                self.outcome = Outcome.BROKEN if self.answered else Outcome.REFUSED
            raise
        except (ClientDisconnected, asyncio.CancelledError):
            self.outcome = Outcome.CLIENT_CLOSED
            raise
        finally:
            self.record()
            await self.settle()

    def _learn(self) -> None:
        """Have it known what the answer means, before the next turn brings it as a message."""
        if is_worth_encoding(self.filter_result.request.messages):
            learner.learn_answer(self.user_id, partial("".join, self._texts))

    async def _provider(self) -> Provider:
        stored = self.request.provider
        if stored is None:
            return await builtin_provider()
        return permitted_provider(stored.base_for(self.route.endpoint), stored.key)

    async def _gate_config(self) -> CostGateConfig | None:
        """Return what looks at the cost, by the preset of caller, provider or operator."""
        stored = self.request.provider
        if stored is None:
            return None
        presets = self.request.cost, stored.cost
        return await build_gate_config(self.user_id, stored.base.authority, stored.key, *presets)

    def _filter(self, body: bytes, gate_config: CostGateConfig | None) -> Step:
        request = self.dialect.read(body, self.route, most_messages=2 * options().max_messages)
        return start_filtering(request, self.dialect, self._filter_options(), gate_config)

    def _fitted(self) -> FilterResult:
        """Return what of the request fits into the built-in model's window."""
        result = self.filter_result
        room = BUILTIN_WINDOW - (self.request.max_tokens or ANSWER_TOKENS)
        if result.tokens_after <= room:
            return result
        fitting = _fitting(result.request, result, self._filter_options(), room)
        return filtered(result.request, self.dialect, fitting)

    def _filter_options(self) -> FilterOptions:
        filter_options = self.request.filter_options
        return replace(
            filter_options,
            mode=modes.OFF if kill_switch.is_active() else filter_options.mode,
            owner_id=self.user_id,
            encoder_seconds=options().encoder_seconds,
            pinned=frozenset(index + self.offset for index in filter_options.pinned),
            excluded=frozenset(index + self.offset for index in filter_options.excluded),
        )

    async def _ask(self, provider: Provider) -> None:
        """Ask, and once more where the provider fails for a moment."""
        refusal = await self._ask_once(provider)
        if refusal and refusal.is_transient:
            self.deadline.extend(2 * LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(refusal.pause or PAUSE_SECONDS)
            refusal = await self._ask_once(provider)
        if refusal:
            logger.warning("A provider answered %d to a chat", refusal.status)
            raise refusal.as_error()

    async def _ask_once(self, provider: Provider) -> Refusal | None:
        """Ask and read the answer; return why there is none, or no whole one, if it is told."""
        self.outcome = Outcome.BROKEN
        answer = await self.open_filtered(provider, [*REQUEST_HEADERS, *self.route.headers])
        try:
            # Refuses what can't be passed on, such as a redirect.
            relay.relayed_headers(answer, self.bounds)
            if answer.status >= 300:
                return await read_refusal(answer, self.deadline, provider.key)
            await self._read(answer)
        except ReportedError as error:
            self.outcome = Outcome.FAILED
            return reported_refusal(error, provider.key, has_begun=self.answered is not None)
        finally:
            relay.release(provider, answer)
        return None

    async def _read(self, answer: Answer) -> None:
        """Read an answer to its end.

        Raises UpstreamBroken for one that is none, or breaks off; ReportedError where it says why.
        """
        kind = relay.kind_of(answer)
        if kind not in (b"text/event-stream", b"application/json"):
            raise UpstreamBroken("The model's provider sent no answer that can be read.")
        # Some streams repeat the whole answer in their last event.
        reader, whole = EventReader(LONGEST_WHOLE), bytearray()
        is_stream = kind == b"text/event-stream"

        def take(data: bytes) -> None:
            if is_stream:
                self._read_events(reader, reader.read(data))
                return
            whole.extend(data)
            if len(whole) > LONGEST_WHOLE:
                raise UpstreamBroken

        try:
            await _read_all(answer, self.deadline, take)
        except ApiError:
            # What has said its finish is complete, however the connection ends.
            if not self.finish:
                raise
        self._read_events(reader, reader.end() if is_stream else [bytes(whole)])
        if not self.finish and not self._is_whole:
            raise UpstreamBroken

    def _read_events(self, reader: EventReader, events: Iterable[bytes]) -> None:
        for data in events:
            if reader.is_error:
                raise read_error(data)
            self._read_event(data)

    def _read_event(self, data: bytes) -> None:
        try:
            event = self.dialect.parse_event(data)
        except (ValueError, RecursionError):
            self.ignored += 1
            return
        self._is_whole = self._is_whole or event.is_last
        if event.finish:
            self.finish = event.finish
        if event.counts:
            self.counts = latest(self.counts, event.counts)
        if event.text or event.reasoning:
            if self.answered is None:
                self.answered = time.perf_counter()
            self._texts.append(event.text)
            self._on_event(event)


def _fitting(
    request: Request, result: FilterResult, filter_options: FilterOptions, room: int
) -> FilterOptions:
    """Return options that leave out the oldest exchanges besides, until the rest has room."""
    dropped = {v.index for v in result.verdicts or () if v.fate == "dropped"}
    excluded, left = set(filter_options.excluded), result.tokens_after
    for index, message in enumerate(request.messages):
        if left <= room and message.role != "assistant":
            break
        if index in dropped or message.role == "system" or index in filter_options.pinned:
            continue
        excluded.add(index)
        left -= message.tokens
    mode = "lax" if filter_options.mode == "off" else filter_options.mode
    return replace(filter_options, mode=mode, excluded=frozenset(excluded))


async def _read_all(answer: Answer, deadline: CallDeadline, take: Callable[[bytes], None]) -> None:
    left = deadline.bounds.most_bytes
    is_whole = False
    while not is_whole:
        # All that has come by then: an answer may be complete before it is read at all.
        data = await relay.read(answer, deadline)
        is_whole = answer.is_complete
        left -= len(data)
        if left < 0:
            raise UpstreamBroken(relay.TOO_LARGE)
        take(data)
