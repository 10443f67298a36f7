"""Open a provider, and relay its bytes: each piece as it comes, nothing held, nothing parsed.

The provider is opened before our status line is sent, so that a refusal is still a status code.
Whoever opens it releases it, whatever ends the relay: the end, a fault, a client that left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.common.errors import ApiError, InvalidRequest
from proxy.common.web.asgi import Message, Send
from proxy.errors import AccessEnded, UpstreamTimeout, UpstreamUnreachable
from proxy.options import Bounds
from proxy.upstream import headers
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.endpoint import Provider
from proxy.upstream.http1 import ProtocolError, head_of
from proxy.upstream.transport import Answer, RawHeaders
from proxy.wire.dialect import Dialect

# How much of an answer's end is kept: enough to hold its usage, whole or streamed.
TAIL_BYTES = 8 * 1024
MOST_WHOLE = 1024 * 1024
# How much of its beginning: events are some sixty bytes for each character of an answer.
BEGINNING_BYTES = 128 * 1024
# Below this length a key is a word, such as `ollama`, that may stand in an error by chance.
SHORTEST_MASKED_KEY = 12
WITHOUT_BODY = (204, 304)
TOO_LARGE = "The provider's answer is larger than allowed."
BROKE_OFF = "The provider's answer broke off. Try again."
# What becomes of a transport's faults, the most specific first: a TimeoutError is an OSError.
FAULTS: tuple[tuple[type[Exception], Callable[[str], ApiError]], ...] = (
    (TimeoutError, lambda message: UpstreamTimeout()),
    (ProtocolError, UpstreamUnreachable),
    (OSError, UpstreamUnreachable),
)


@dataclass(slots=True)
class RelayState:
    """What became of an answer on its way down."""

    broke: ApiError | None = None
    """Why it broke off."""
    pieces: deque[bytes] = field(default_factory=deque)
    """The last pieces of the answer, as many as hold TAIL_BYTES."""
    size: int = 0
    """Of all pieces, in bytes."""
    whole: list[bytes] | None = None
    """All pieces, where somebody keeps the conversation; None also for what is too much."""
    beginning: list[bytes] | None = None
    """The first pieces, as many as hold BEGINNING_BYTES, where somebody wants them."""
    _held: int = 0

    def append(self, piece: bytes) -> None:
        """Remember a piece, and forget those that are no longer of the end."""
        tail = self.pieces
        tail.append(piece)
        self.size += len(piece)
        self._held += len(piece)
        if self.beginning is not None and self.size - len(piece) < BEGINNING_BYTES:
            self.beginning.append(piece)
        if self.whole is not None:
            self.whole.append(piece)
            if self.size > MOST_WHOLE:
                self.whole = None
        while self._held - len(tail[0]) >= TAIL_BYTES:
            self._held -= len(tail.popleft())

    def tail(self) -> list[bytes]:
        """The last bytes of the answer, in pieces, bounded."""
        return [piece[-TAIL_BYTES:] for piece in self.pieces]


async def send(
    provider: Provider,
    method: str,
    endpoint: str,
    sent: RawHeaders,
    body: bytes | None,
    deadline: CallDeadline,
) -> Answer:
    """Send a request and return the provider's answer, its head read and its body not.

    Whoever has it gives it to `release`, whatever happens. Raises UpstreamTimeout,
    UpstreamUnreachable, or InvalidRequest for what no head of a request may hold.
    """
    base = provider.base
    path = (base.path + endpoint).encode()
    length = None if body is None else len(body)
    try:
        head = head_of(method, path, base.header, sent, length)
    except ValueError:
        raise InvalidRequest("A header or the URL has characters that none may have.") from None
    deadline.extend(deadline.bounds.first_byte)
    try:
        return await provider.pool.send(base.origin, head, body, is_safe=method == "GET")
    except BaseException as error:
        raise _map_error(error, deadline) from None


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
    provider.pool.release(provider.base.origin, answer)


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

    A stream that breaks ends with an error event of the dialect; any other answer is cut where it
    broke, which no client takes for success.
    """
    await send({"type": "http.response.start", "status": answer.status, "headers": passing})
    try:
        await _relay_body(answer, send, relayed, deadline)
    except ApiError as error:
        relayed.broke = error
    if relayed.broke and kind_of(answer) == b"text/event-stream":
        event = dialect.broken(relayed.broke)
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def relayed_headers(answer: Answer, bounds: Bounds) -> RawHeaders:
    """Return what the caller gets of an answer's headers.

    Raises UpstreamUnreachable for an answer that can't be passed on.
    """
    status = answer.status
    if 300 <= status < 400 and status != 304:
        raise UpstreamUnreachable("The provider redirects elsewhere; name its final URL.")
    if not 200 <= status < 600:
        raise UpstreamUnreachable("The provider answered with a status that does not exist.")
    if status in WITHOUT_BODY:
        # Without a body, a length describes the body of another response.
        answer.headers = [each for each in answer.headers if each[0] != b"content-length"]
    elif int(answer.get(b"content-length") or 0) > bounds.most_bytes:
        raise UpstreamUnreachable(TOO_LARGE)
    return headers.response_headers(answer.headers)


def kind_of(answer: Answer) -> bytes:
    """Return the type of an answer, without its parameters, in lower case."""
    return (answer.get(b"content-type") or b"").partition(b";")[0].strip().lower()


async def _relay_body(
    answer: Answer, send: Send, relayed: RelayState, deadline: CallDeadline
) -> None:
    most = deadline.bounds.most_bytes
    is_whole = False
    while not is_whole:
        piece = await read(answer, deadline)
        relayed.append(piece)
        if relayed.size > most:
            raise UpstreamUnreachable(TOO_LARGE)
        is_whole = answer.is_complete
        await send({"type": "http.response.body", "body": piece, "more_body": not is_whole})


def mask_key(send: Send, key: bytes) -> Send:
    """Return `send` without the key in what it sends, even where two pieces meet; lengths stay."""
    if len(key) < SHORTEST_MASKED_KEY:
        return send
    mask, held = b"*" * len(key), b""

    async def masked(event: Message) -> None:
        nonlocal held
        if event["type"] == "http.response.start":
            masked_headers = [(name, value.replace(key, mask)) for name, value in event["headers"]]
            await send({**event, "headers": masked_headers})
            return
        body = (held + event["body"]).replace(key, mask)
        end = max(len(body) - len(key) + 1, 0) if event.get("more_body") else len(body)
        held = body[end:]
        await send({**event, "body": body[:end]})

    return masked
