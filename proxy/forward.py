"""Open a provider, and relay its bytes: each piece as it comes, nothing held, nothing parsed.

The provider is opened before our status line is sent, so that a refusal is still a status code.
Whatever ends the relay (the end, a fault, a client that left), the provider is let go with it.
"""

from __future__ import annotations

import asyncio
import errno
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy import headers
from proxy.errors import ProxyError, UpstreamTimeout, UpstreamUnreachable
from proxy.watch import Watch
from proxy.wire.dialect import Dialect

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# A body beyond this is written in pieces, so that the loop serves others meanwhile.
WRITTEN_AT_ONCE = 512 * 1024
# Enough of an answer's end to hold its usage, whether whole or streamed.
TAIL_BYTES = 8 * 1024
# Who refuses a connection may be restarting: asked again after about so many seconds.
WAITS_WHEN_REFUSED = (0.1, 0.3)
# Below this length a key is a word, such as `ollama`, that may stand in an error by chance.
SHORTEST_MASKED_KEY = 12
TOO_LARGE = "The provider's answer is larger than allowed."


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a provider may take, in seconds, and how much it may send, in bytes."""

    first_byte: float
    idle: float
    total: float
    most_bytes: int


@dataclass(slots=True)
class Relayed:
    """What became of an answer on its way down."""

    is_complete: bool = False
    tail: deque[bytes] = field(default_factory=deque)
    """The last pieces of the answer, as many as hold TAIL_BYTES."""
    _held: int = 0

    def keep(self, piece: bytes) -> None:
        """Remember a piece, and forget those that are no longer of the end."""
        tail = self.tail
        tail.append(piece)
        self._held += len(piece)
        while self._held - len(tail[0]) >= TAIL_BYTES:
            self._held -= len(tail.popleft())

    def end(self) -> list[bytes]:
        """The last bytes of the answer, in pieces, bounded."""
        return [piece[-TAIL_BYTES:] for piece in self.tail]


@asynccontextmanager
async def opened(
    client: aiohttp.ClientSession,
    method: str,
    url: URL,
    sent: CIMultiDict[str],
    body: bytes | None,
    bounds: Bounds,
    watch: Watch,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a request and give the provider's answer, its head read and its body not.

    Raises UpstreamTimeout or UpstreamUnreachable before the first byte; closes the provider.
    """
    response: aiohttp.ClientResponse | None = None
    try:
        watch.allow(bounds.first_byte)
        with _Translated(watch):
            response = await _asked(client, method, url, sent, body)
        _check(response, bounds)
        yield response
    finally:
        if response is not None:
            # Gives a connection back when the answer was read to its end, closes it otherwise.
            response.release() if response.content.at_eof() else response.close()


async def _asked(
    client: aiohttp.ClientSession, method: str, url: URL, sent: CIMultiDict[str], body: bytes | None
) -> aiohttp.ClientResponse:
    """Send a request; connect again, within the time for it, to a provider that refuses to.

    Only a failed connection is tried again: of what may have read a byte, nothing is known.
    """
    give_up = time.monotonic() + (client.timeout.sock_connect or 0)
    waits = iter(WAITS_WHEN_REFUSED)
    while True:
        try:
            return await client.request(
                method, url, headers=sent, data=_payload(body), allow_redirects=False
            )
        except aiohttp.ClientConnectorError as error:
            wait = next(waits, None)
            is_refused = error.errno in (errno.ECONNREFUSED, errno.ECONNRESET)
            if wait is None or not is_refused or time.monotonic() + wait > give_up:
                raise
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))


def _payload(body: bytes | None) -> bytes | BytesIO | None:
    return BytesIO(body) if body and len(body) > WRITTEN_AT_ONCE else body


def _check(response: aiohttp.ClientResponse, bounds: Bounds) -> None:
    if 300 <= response.status < 400 and response.status != 304:
        raise UpstreamUnreachable("The provider redirects elsewhere; name its final URL.")
    if headers.has_encoding(response.headers):
        raise UpstreamUnreachable("The provider sent an encoding that was not asked for.")
    if (response.content_length or 0) > bounds.most_bytes:
        raise UpstreamUnreachable(TOO_LARGE)


class _Translated:
    """Turns what the HTTP client raises into faults of ours, which hold nothing of its text."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if isinstance(error, asyncio.CancelledError) and self.watch.is_late:
            self.watch.forgive()
            raise UpstreamTimeout from None
        if isinstance(error, TimeoutError):
            raise UpstreamTimeout from None
        if isinstance(error, aiohttp.ClientError | OSError | ValueError):
            raise UpstreamUnreachable from None


async def relay(
    response: aiohttp.ClientResponse,
    send: Send,
    own_headers: headers.RawHeaders,
    dialect: Dialect,
    bounds: Bounds,
    relayed: Relayed,
    watch: Watch,
) -> None:
    """Pass a provider's answer on, piece by piece, and note in `relayed` how it ended.

    A stream that breaks ends with an error event of the dialect; any other answer is cut where it
    broke, which no client takes for success. A key that an error repeats is masked.
    """
    if response.status >= 400:
        send = _masking(send, headers.key_in(response.request_info.headers))
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": headers.downward(response.raw_headers) + own_headers,
        }
    )
    try:
        with _Translated(watch):
            await _relay_body(response, send, relayed, bounds, watch)
    except ProxyError as error:
        if not response.content_type.startswith("text/event-stream"):
            return
        await send({"type": "http.response.body", "body": dialect.broken(error), "more_body": True})
    else:
        relayed.is_complete = True
    await send({"type": "http.response.body", "body": b""})


async def _relay_body(
    response: aiohttp.ClientResponse, send: Send, relayed: Relayed, bounds: Bounds, watch: Watch
) -> None:
    end = time.monotonic() + bounds.total
    left = bounds.most_bytes
    read, keep = response.content.readany, relayed.keep
    while True:
        watch.allow(min(bounds.idle, end - time.monotonic()))
        piece = await read()
        if not piece:
            return
        left -= len(piece)
        if left < 0:
            raise UpstreamUnreachable(TOO_LARGE)
        keep(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})


def _masking(send: Send, key: bytes) -> Send:
    """Return `send` without the key in what it sends, even where two pieces meet; lengths stay."""
    if len(key) < SHORTEST_MASKED_KEY:
        return send
    mask, held = b"*" * len(key), b""

    async def masked(event: MutableMapping[str, Any]) -> None:
        nonlocal held
        if event["type"] == "http.response.start":
            told = [(name, value.replace(key, mask)) for name, value in event["headers"]]
            await send({**event, "headers": told})
            return
        body = (held + event["body"]).replace(key, mask)
        end = max(len(body) - len(key) + 1, 0) if event.get("more_body") else len(body)
        held = body[end:]
        await send({**event, "body": body[:end]})

    return masked
