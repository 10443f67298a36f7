"""Open a provider, and relay its bytes: each piece as it comes, nothing parsed.

Of an event stream whole events go on, and its own end counts, whatever HTTP says: before it, the
stream has broken off.

The provider is opened before our status line is sent, so that a refusal is still a status code.
Whoever opens it releases it, whatever ends the relay: the end, a fault, a client that left.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from proxy.common.errors import ApiError, InvalidRequest
from proxy.common.web.asgi import Message, Send
from proxy.common.web.content_encoding import BrokenEncoding
from proxy.errors import AccessEnded, UpstreamTimeout, UpstreamUnreachable
from proxy.options import Bounds
from proxy.upstream import headers
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.endpoint import Provider
from proxy.upstream.http1 import ProtocolError, head_of
from proxy.upstream.target import path_at
from proxy.upstream.transport import Answer, Body, DecodedAnswer, RawHeaders, Upload
from proxy.wire.answer_end import EVENT_STREAM, AnswerEnd, Ending
from proxy.wire.dialect import Dialect
from proxy.wire.sse import EventGate

MOST_WHOLE = 1024 * 1024
# How much of its beginning: events are some sixty bytes for each character of an answer.
BEGINNING_BYTES = 128 * 1024
# Below this length a key is a word, such as `ollama`, that may stand in an error by chance.
SHORTEST_MASKED_KEY = 12
WITHOUT_BODY = (204, 304)
SAFE_METHODS = ("GET", "HEAD")
TOO_LARGE = "The provider's answer is larger than allowed."
BROKE_OFF = "The provider's answer broke off. Try again."
# What becomes of a transport's faults, the most specific first: a TimeoutError is an OSError.
FAULTS: tuple[tuple[type[Exception], Callable[[str], ApiError]], ...] = (
    (TimeoutError, lambda message: UpstreamTimeout()),
    (ProtocolError, UpstreamUnreachable),
    (BrokenEncoding, UpstreamUnreachable),
    (OSError, UpstreamUnreachable),
)


@dataclass(slots=True)
class RelayState:
    """What became of an answer on its way down."""

    end: AnswerEnd
    broke: ApiError | None = None
    """Why it broke off."""
    has_failed: bool = False
    """Whether it came whole, and the provider says in it that it failed."""
    whole: list[bytes] | None = None
    """All pieces, where somebody keeps the conversation; None also for what is too much."""
    beginning: list[bytes] | None = None
    """The first pieces, as many as hold BEGINNING_BYTES, where somebody wants them."""

    def append(self, piece: bytes) -> None:
        """Remember a piece, as far as it is still needed when the answer has gone."""
        if self.beginning is not None and self.end.size < BEGINNING_BYTES:
            self.beginning.append(piece)
        self.end.append(piece)
        if self.whole is not None:
            self.whole.append(piece)
            if self.end.size > MOST_WHOLE:
                self.whole = None


class _TimedUpload:
    """A body on its way up: a client may be slow, a provider must go on taking it."""

    def __init__(self, body: Upload, deadline: CallDeadline) -> None:
        self.length = body.length
        self._pieces = aiter(body)
        self._deadline = deadline
        deadline.begin_upload()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        # How long the client may take is told where its request comes in.
        self._deadline.extend(math.inf)
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            self._deadline.end_upload()
            raise
        self._deadline.extend(self._deadline.bounds.idle)
        return piece


async def send(
    provider: Provider,
    method: str,
    endpoint: str,
    sent: RawHeaders,
    body: Body,
    deadline: CallDeadline,
) -> Answer:
    """Send a request and return the provider's answer, its head read and its body not.

    Of one that came compressed, though nobody asked for that, the beginning is read and decoded.
    Whoever has it gives it to `release`, whatever happens. Raises UpstreamTimeout,
    UpstreamUnreachable, or InvalidRequest for what no head of a request may hold.
    """
    base = provider.base
    path = path_at(base, endpoint).encode()
    length = len(body) if isinstance(body, bytes) else body.length if body else None
    if body is not None and length is None:
        sent = [*sent, (b"transfer-encoding", b"chunked")]
    try:
        head = head_of(method, path, base.header, sent, length)
    except ValueError:
        raise InvalidRequest("A header or the URL has characters that none may have.") from None
    is_safe = not body and method in SAFE_METHODS
    deadline.extend(deadline.bounds.first_byte)
    if body is not None and not isinstance(body, bytes):
        body = _TimedUpload(body, deadline)
    try:
        answer = await provider.pool.send(base.origin, head, body, is_safe=is_safe)
        encoding = headers.encoding_in(answer.headers)
        return await _decoded(provider, answer, encoding) if encoding else answer
    except BaseException as error:
        raise _map_error(error, deadline) from None
    finally:
        deadline.end_upload()


async def _decoded(provider: Provider, received: Answer, encoding: str) -> Answer:
    answer = DecodedAnswer(received, encoding)
    try:
        await answer.begin()
    except BaseException:
        release(provider, answer)
        raise
    return answer


async def read(answer: Answer, deadline: CallDeadline) -> bytes:
    """Return the next piece of an answer, empty at its end.

    Raises UpstreamTimeout or UpstreamUnreachable.
    """
    deadline.extend(deadline.bounds.idle)
    try:
        return await answer.read()
    except BaseException as error:
        raise _map_error(error, deadline, BROKE_OFF) from None


def release(provider: Provider, answer: Answer) -> None:
    """Let go of an answer: hang up, unless it came to its end."""
    received = answer.received if isinstance(answer, DecodedAnswer) else answer
    provider.pool.release(provider.base.origin, received)


def _map_error(error: BaseException, deadline: CallDeadline, message: str = "") -> BaseException:
    """Return the fault of ours for one on the way to a provider, with nothing of its text."""
    if isinstance(error, asyncio.CancelledError) and (deadline.is_timed_out or deadline.is_aborted):
        is_late = deadline.is_timed_out
        deadline.uncancel()
        return UpstreamTimeout() if is_late else AccessEnded()
    for kind, fault in FAULTS:
        if isinstance(error, kind):
            return fault(message)
    return error


async def relay(
    answer: Answer,
    passing: RawHeaders,
    send: Send,
    dialect: Dialect,
    relayed: RelayState,
    deadline: CallDeadline,
) -> None:
    """Pass a provider's answer on under the headers `passing`; record in `relayed` how it ended.

    A stream that breaks ends with an error event of the dialect, after whole events alone, if that
    can be told; any other answer is cut where it broke, which no client takes for success.
    """
    await send({"type": "http.response.start", "status": answer.status, "headers": passing})
    gate = EventGate() if kind_of(answer) == EVENT_STREAM else None
    last, fault = b"", None
    try:
        last = await _relay_body(answer, send, gate, relayed, deadline)
    except ApiError as error:
        fault = error
    rest = gate.rest() if gate else b""
    ending = _ending(answer, relayed.end, rest, fault, deadline.bounds.most_bytes)
    if ending is Ending.BROKEN:
        relayed.broke = fault or UpstreamUnreachable(BROKE_OFF)
        error_event = dialect.broken(relayed.broke, *relayed.end.passed(rest)) if gate else None
        if error_event is None:
            await send({"type": "http.response.body", "body": last, "more_body": True})
            return
        rest = error_event
    relayed.has_failed = ending is Ending.FAILED
    await send({"type": "http.response.body", "body": last + rest})


async def _relay_body(
    answer: Answer,
    send: Send,
    gate: EventGate | None,
    relayed: RelayState,
    deadline: CallDeadline,
) -> bytes:
    """Pass an answer's pieces on as they come, but for the last one, which is returned."""
    most = deadline.bounds.most_bytes
    while True:
        piece = await read(answer, deadline)
        relayed.append(piece)
        if relayed.end.size > most:
            raise UpstreamUnreachable(TOO_LARGE)
        passing = gate.passed(piece) if gate else piece
        if answer.is_complete:
            return passing
        if passing:
            await send({"type": "http.response.body", "body": passing, "more_body": True})


def _ending(
    answer: Answer, end: AnswerEnd, rest: bytes, fault: ApiError | None, most: int
) -> Ending:
    """Return how an answer ended: by its own account if its dialect can tell, else by HTTP's."""
    is_cut_by_us = end.size > most or isinstance(fault, AccessEnded)
    kind = kind_of(answer)
    is_sized = kind != EVENT_STREAM and answer.get(b"content-length") is not None
    if answer.status < 300 and not is_cut_by_us:
        own = None if is_sized else end.ending(kind, rest)
        if own is not None:
            return own
        if not fault and kind != EVENT_STREAM and end.has_failed():
            return Ending.FAILED
    return Ending.BROKEN if fault else Ending.COMPLETE


def relayed_headers(answer: Answer, bounds: Bounds, *, has_body: bool = True) -> RawHeaders:
    """Return what the caller gets of an answer's headers; one to HEAD has no body.

    Raises UpstreamUnreachable for an answer that can't be passed on.
    """
    status = answer.status
    if 300 <= status < 400 and status != 304:
        raise UpstreamUnreachable("The provider redirects elsewhere; name its final URL.")
    if not 200 <= status < 600:
        raise UpstreamUnreachable("The provider answered with a status that does not exist.")
    passing = answer.headers
    is_sized = has_body and status not in WITHOUT_BODY
    if is_sized and int(answer.get(b"content-length") or 0) > bounds.most_bytes:
        raise UpstreamUnreachable(TOO_LARGE)
    if status in WITHOUT_BODY or kind_of(answer) == EVENT_STREAM:
        # Without a body, a length describes the body of another response; a stream that breaks is
        # given another end.
        passing = [each for each in passing if each[0] != b"content-length"]
    return headers.response_headers(passing)


def kind_of(answer: Answer) -> bytes:
    """Return the type of an answer, without its parameters, in lower case."""
    return (answer.get(b"content-type") or b"").partition(b";")[0].strip().lower()


def mask_key(send: Send, key: bytes) -> Send:
    """Return `send` without the key in what it sends, even where two pieces meet; lengths stay."""
    if len(key) < SHORTEST_MASKED_KEY:
        return send
    mask, held = b"*" * len(key), b""

    async def send_masked(event: Message) -> None:
        nonlocal held
        if event["type"] == "http.response.start":
            masked_headers = [(name, value.replace(key, mask)) for name, value in event["headers"]]
            await send({**event, "headers": masked_headers})
            return
        body = (held + event["body"]).replace(key, mask)
        end = max(len(body) - len(key) + 1, 0) if event.get("more_body") else len(body)
        held = body[end:]
        await send({**event, "body": body[:end]})

    return send_masked
