"""Ask a provider for an answer of our own making, and read it piece by piece.

The chats ask by the rules of the proxy's path: the same guard, clients, bounds, filter and usage
rows. A provider that fails for a moment is asked once more, as long as it has said nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from proxy.accounting import usage_writer
from proxy.accounting.call_finished import CallFinished
from proxy.calls.cost_gate import gate_config
from proxy.common.web.asgi import ClientDisconnected, Receive
from proxy.completions.request import CompletionRequest, written
from proxy.completions.upstream_errors import error_for, error_message, retry_after
from proxy.errors import ApiError, UpstreamBroken
from proxy.filtering import kill_switch, result
from proxy.filtering.cost_gate import CostGateConfig
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.filtering.pipeline import PendingDecision, start_filtering
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.limits import budgets
from proxy.limits.budgets import Reservation
from proxy.models import UsageRecord
from proxy.options import options
from proxy.relevance import modes
from proxy.upstream import relay
from proxy.upstream.builtin_server import CONTEXT as BUILTIN_WINDOW
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.endpoint import Provider, builtin_provider, permitted_provider
from proxy.upstream.transport import Answer, RawHeaders
from proxy.wire import gemini, openai, stream_events
from proxy.wire.dialect import Counts, Dialect, Request
from proxy.wire.sse import EventReader
from proxy.wire.stream_events import StreamEvent

Outcome = UsageRecord.Outcome
OnEvent = Callable[[StreamEvent], None]

# A whole answer, where a provider does not stream, is no longer than this.
LONGEST_WHOLE = 10 * 1024 * 1024
# What fails for a moment, and is asked once more: after so many seconds, or as it says itself.
TRANSIENT_STATUSES = (500, 502, 503, 529)
PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 2.0
# Of the built-in model's window, so much is left for its answer.
ANSWER_TOKENS = 1024

logger = logging.getLogger(__name__)


async def never() -> dict[str, Any]:
    """Wait for a client that cannot leave: nobody's."""
    return await asyncio.Future()


class Completion:
    """One answer: `prepare` it, then have it `told`."""

    def __init__(self, asked: CompletionRequest) -> None:
        self.request = asked
        is_gemini = asked.provider is not None and asked.provider.dialect == gemini.NAME
        self.dialect: Dialect = gemini if is_gemini else openai
        self._parse_event = (
            stream_events.parse_gemini_event if is_gemini else stream_events.parse_openai_event
        )
        self.target = ""
        self.finish = ""
        self.counts: Counts | None = None
        self.ignored = 0
        """Events that could not be read."""
        self._created = datetime.now(UTC)
        self._began = time.perf_counter()
        self._first: float | None = None
        self._is_whole = False

    @property
    def offset(self) -> int:
        """How many messages of the request stand before the first of `asked.messages`."""
        return 1 if self.request.system and self.dialect is openai else 0

    async def prepare(self) -> FilterResult:
        """Write the request and filter it; no provider is asked yet."""
        body, route = written(self.request)
        self._route = route
        made = await run_in_thread_if_large(len(body), self._filtered, body, await self._gate())
        self.filter_result = await made.resolve() if isinstance(made, PendingDecision) else made
        return self.filter_result

    async def stream(self, take: OnEvent, receive: Receive = never) -> None:
        """Ask, and hand each piece of the answer to `take`, to its end.

        Raises UpstreamUnreachable, UpstreamTimeout, UpstreamRefused, UpstreamBroken, InvalidTarget
        or ModelUnavailable; and ClientGone when `receive` tells that the caller left.
        """
        self._on_event = take
        status, outcome = 200, Outcome.BROKEN
        held: Reservation | None = None
        try:
            provider = await self._provider()
            self.target = provider.name
            asked = self.request
            held = await budgets.reserve(
                asked.user_id,
                asked.key_id,
                asked.request_id,
                self.filter_result,
                provider.name,
                asked.model,
            )
            limits = options().bounds
            limits = replace(limits, total=min(limits.total, self.request.seconds))
            with CallDeadline(receive, limits) as watch:
                await self._ask(provider, watch)
            outcome = Outcome.COMPLETE
        except ApiError as error:
            status = error.status
            outcome = Outcome.BROKEN if self._first else Outcome.REFUSED
            raise
        except (ClientDisconnected, asyncio.CancelledError):
            outcome = Outcome.CLIENT_CLOSED
            raise
        finally:
            self._record(status, outcome)
            if held:
                await held.settle(self.counts)

    async def _provider(self) -> Provider:
        source = self.request.provider
        if source is None:
            return await builtin_provider()
        return permitted_provider(source.base, source.key)

    async def _gate(self) -> CostGateConfig | None:
        """Return what looks at the cost, by the preset of caller, provider or operator."""
        provider, user_id = self.request.provider, self.request.user_id
        if provider is None:
            return None
        presets = self.request.cost, provider.cost
        return await gate_config(user_id, provider.base.authority, provider.key, *presets)

    def _filtered(self, body: bytes, gate: CostGateConfig | None) -> FilterResult | PendingDecision:
        request = self.dialect.read(body, self._route, most_messages=2 * options().max_messages)
        wish = self._shifted(self.request.filter_options)
        if kill_switch.is_active():
            wish = replace(wish, mode=modes.OFF)
        if self.request.provider:
            return start_filtering(request, self.dialect, wish, gate)
        made = result.filtered(request, self.dialect, wish)
        if options().c1_base_url:
            return made
        room = BUILTIN_WINDOW - (self.request.max_tokens or ANSWER_TOKENS)
        if made.tokens_after <= room:
            return made
        return result.filtered(request, self.dialect, _fitting(request, made, wish, room))

    def _shifted(self, wish: FilterOptions) -> FilterOptions:
        return replace(
            wish,
            pinned=frozenset(place + self.offset for place in wish.pinned),
            excluded=frozenset(place + self.offset for place in wish.excluded),
        )

    async def _ask(self, provider: Provider, watch: CallDeadline) -> None:
        """Ask once; and once more unfiltered, or where the provider fails for a moment."""
        has_retried = False
        while True:
            answer = await self._opened(provider, watch)
            try:
                # Refuses what can't be passed on, such as a redirect.
                relay.downward(answer, watch.bounds)
                if answer.status < 300:
                    await self._read(answer, watch)
                    return
                status, pause = answer.status, retry_after(answer)
                said = await error_message(answer, watch, provider.key) if status < 500 else ""
            finally:
                relay.release(provider, answer)
            if status == 400 and self.filter_result.filtering == "filtered":
                made, now = self.filter_result, time.perf_counter()
                undone = result.unfiltered(made.request, made.mode, "undone", now)
                self.filter_result = replace(undone, milliseconds=made.milliseconds)
                continue
            if has_retried or status not in TRANSIENT_STATUSES or pause > LONGEST_PAUSE_SECONDS:
                logger.warning("A provider answered %d to a chat", status)
                raise error_for(status, pause, said)
            has_retried = True
            watch.extend(2 * LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause or PAUSE_SECONDS)

    async def _opened(self, provider: Provider, watch: CallDeadline) -> Answer:
        body = self.filter_result.body
        if provider.model:
            body = openai.with_model(body, provider.model)
        sent: RawHeaders = [
            (b"accept", b"text/event-stream"),
            (b"accept-encoding", b"identity"),
            (b"content-type", b"application/json"),
            (b"user-agent", b"Alchemyst"),
        ]
        if provider.key:
            name, value = self.dialect.credential(provider.key)
            sent.append((name.encode(), value.encode()))
        return await relay.send(provider, "POST", self._route.endpoint, sent, body, watch)

    async def _read(self, answer: Answer, watch: CallDeadline) -> None:
        """Read an answer to its end; raises UpstreamBroken for one that is none, or breaks off."""
        kind = relay.kind_of(answer)
        if kind not in (b"text/event-stream", b"application/json"):
            raise UpstreamBroken("The model's provider sent no answer that can be read.")
        reader, whole = EventReader(), bytearray()
        is_stream = kind == b"text/event-stream"

        def take(piece: bytes) -> None:
            if is_stream:
                self._events(reader.read(piece))
                return
            whole.extend(piece)
            if len(whole) > LONGEST_WHOLE:
                raise UpstreamBroken

        try:
            await _each_piece(answer, watch, take)
        except ApiError:
            # What has said its finish is complete, however the connection ends.
            if not self.finish:
                raise
        self._events(reader.end() if is_stream else [bytes(whole)])
        if not self.finish and not self._is_whole:
            raise UpstreamBroken

    def _events(self, found: Iterable[bytes]) -> None:
        for data in found:
            self._event(data)

    def _event(self, data: bytes) -> None:
        if data == stream_events.DONE:
            self._is_whole = True
            return
        try:
            piece = self._parse_event(data)
        except (ValueError, RecursionError):
            self.ignored += 1
            return
        if piece.finish:
            self.finish = piece.finish
        if piece.counts:
            self.counts = piece.counts
        if piece.text or piece.reasoning:
            if self._first is None:
                self._first = time.perf_counter()
            self._on_event(piece)

    def _record(self, status: int, outcome: str) -> None:
        """Hand over what the call leaves, to those who keep account of it."""
        result, request = self.filter_result, self.request
        usage_writer.queue.add(
            CallFinished(
                created=self._created,
                request_id=request.request_id,
                caller_id=request.user_id,
                key_id=request.key_id,
                endpoint=request.endpoint,
                target=self.target,
                model=request.model[:200],
                persona=request.persona[:100],
                status=status,
                outcome=outcome,
                milliseconds=round((time.perf_counter() - self._began) * 1000),
                first_byte_milliseconds=(
                    round((self._first - self._began) * 1000) if self._first else None
                ),
                tail=[],
                parse_usage=self.dialect.reported,
                counts=self.counts,
                cost_decision=result.cost_decision,
                mode=result.mode,
                filtering=result.filtering,
                messages_before=result.messages_before,
                messages_after=result.messages_after,
                tokens_before=result.tokens_before,
                tokens_after=result.tokens_after,
            )
        )


def _fitting(request: Request, made: FilterResult, wish: FilterOptions, room: int) -> FilterOptions:
    """Return a wish that leaves out the oldest exchanges besides, until the rest has room."""
    dropped = {v.index for v in made.verdicts or () if v.fate == "dropped"}
    excluded, left = set(wish.excluded), made.tokens_after
    for place, message in enumerate(request.messages):
        if left <= room and message.role != "assistant":
            break
        if place in dropped or message.role == "system" or place in wish.pinned:
            continue
        excluded.add(place)
        left -= message.tokens
    mode = "lax" if wish.mode == "off" else wish.mode
    return replace(wish, mode=mode, excluded=frozenset(excluded))


async def _each_piece(answer: Answer, watch: CallDeadline, take: Callable[[bytes], None]) -> None:
    left = watch.bounds.most_bytes
    is_whole = False
    while not is_whole:
        # All that has come by then: an answer may be complete before it is read at all.
        piece = await relay.read(answer, watch)
        is_whole = answer.is_complete
        left -= len(piece)
        if left < 0:
            raise UpstreamBroken(relay.TOO_LARGE)
        take(piece)
