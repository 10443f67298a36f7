"""ASGI in types, and what every endpoint outside Django does: read a body, answer with JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, KeysView, MutableMapping
from contextvars import ContextVar
from typing import Any

from proxy.common.errors import ApiError, InvalidRequest, RequestTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Of the request at work, as its answer's headers and the logs name it."""

PRIVATE = "private, no-store"
"""Cache-Control of what is one user's own."""

# Where a request's headers, once looked through, are kept in its scope.
_HEADERS = "alchemyst.headers"
SHOWN_KEYS = "alchemyst.shown_keys"
"""Where what its headers show of keys is kept, once that was looked for."""


class ClientDisconnected(Exception):
    """The caller went away before the answer's end."""


def header(scope: Scope, name: bytes) -> str | None:
    """Return a request header's value; a header given twice is one that we don't trust."""
    known: dict[bytes, bytes] = scope.get(_HEADERS) or _indexed(scope)
    value = known.get(name)
    if value is None:
        return None
    if len(known) < len(scope["headers"]) and _is_repeated(scope["headers"], name):
        raise InvalidRequest(f"The header {name.decode()} was given more than once.")
    return value.decode("latin-1").strip()


def header_names(scope: Scope) -> KeysView[bytes]:
    """Return the names of a request's headers."""
    known: dict[bytes, bytes] = scope.get(_HEADERS) or _indexed(scope)
    return known.keys()


def _indexed(scope: Scope) -> dict[bytes, bytes]:
    """Look through a request's headers, once for all that ask for them."""
    known = scope[_HEADERS] = dict(scope.get("headers", ()))
    return known


def _is_repeated(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bool:
    return [known for known, _ in headers].count(name) > 1


def with_headers(scope: Scope, headers: list[tuple[bytes, bytes]]) -> Scope:
    """Return the same scope with other headers."""
    changed = {**scope, "headers": headers}
    for derived in (_HEADERS, SHOWN_KEYS):
        changed.pop(derived, None)
    return changed


def query_of(scope: Scope) -> str:
    """Return a request's query as it came; raises InvalidRequest for what no URL may hold."""
    if not scope.get("query_string"):
        return ""
    query: str = scope["query_string"].decode("latin-1")
    if not query.isascii() or not query.isprintable() or " " in query:
        raise InvalidRequest("The query has characters that no URL may hold.")
    return query


class BodyStream:
    """A request's body as it comes, piece by piece: an iterator, for once.

    It raises RequestTooLarge where more than `most` bytes come, and ClientDisconnected.
    """

    def __init__(self, receive: Receive, *, length: int | None, most: int) -> None:
        self.length = length
        """What the caller said of it; None where it comes in chunks."""
        self.inspect: Callable[[bytes], None] | None = None
        """Sees each piece before it is taken, and may raise."""
        self._receive = receive
        self._most = most
        self._size = 0
        self._is_whole = False
        self._returned = b""

    def __aiter__(self) -> BodyStream:
        return self

    async def __anext__(self) -> bytes:
        if self._returned:
            returned, self._returned = self._returned, b""
            return returned
        if self._is_whole:
            raise StopAsyncIteration
        event = await self._receive()
        if event["type"] == "http.disconnect":
            raise ClientDisconnected
        piece: bytes = event.get("body", b"")
        self._is_whole = not event.get("more_body")
        self._size += len(piece)
        if self._size > self._most:
            raise _too_large(self._most)
        if self.inspect:
            self.inspect(piece)
        return piece

    def put_back(self, taken: bytes) -> None:
        """Have what was taken come once more."""
        self._returned = taken + self._returned

    async def read(self, most: int) -> bytes:
        """Return all of it; raises RequestTooLarge for more than `most` bytes."""
        taken = bytearray()
        async for piece in self:
            taken += piece
            if len(taken) > most:
                raise _too_large(most)
        return bytes(taken)

    async def first(self) -> bytes | None:
        """Return the whole body where all of it has come at once; else None, and keep it."""
        piece = await anext(self)
        if self._is_whole:
            return piece
        self.put_back(piece)
        return None


async def open_body(scope: Scope, receive: Receive, most: int) -> bytes | BodyStream | None:
    """Return a request's body: whole if it came at once, else as a stream; None if there is none.

    Raises RequestTooLarge as soon as it is known to be larger, and ClientDisconnected.
    """
    length = header(scope, b"content-length")
    if length is None and header(scope, b"transfer-encoding") is None:
        return None
    size = int(length) if length and length.isdecimal() else None
    if size is not None and size > most:
        raise _too_large(most)
    stream = BodyStream(receive, length=size, most=most)
    whole = await stream.first()
    return stream if whole is None else whole


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return the request's body of `most` bytes at most.

    Raises RequestTooLarge as soon as it is known to be larger, and ClientDisconnected.
    """
    length = header(scope, b"content-length")
    if length and length.isdecimal() and int(length) > most:
        raise _too_large(most)
    pieces, size = [], 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientDisconnected
        piece = event.get("body", b"")
        size += len(piece)
        if size > most:
            raise _too_large(most)
        pieces.append(piece)
        if not event.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def call_refusing(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Call `app` with a `receive` that may refuse the request, and raise its ApiError afterwards.

    The application sees a client that leaves, upon which it lets go of what it holds.
    """
    refusal: ApiError | None = None

    async def receive_or_leave() -> Message:
        nonlocal refusal
        if refusal is None:
            try:
                return await receive()
            except ApiError as error:
                refusal = error
        return {"type": "http.disconnect"}

    await app(scope, receive_or_leave, send)
    if refusal is not None and not scope["has_begun"]:
        raise refusal


def _too_large(most: int) -> RequestTooLarge:
    # What is left of the body is not read, so nothing else can come by this connection.
    return RequestTooLarge(
        f"The body is larger than {most // 1024} KiB.", headers=(("connection", "close"),)
    )


async def send_json(
    send: Send, body: bytes, *, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with JSON that is encoded already, and that is its caller's own."""
    sized = (b"content-length", str(len(body)).encode())
    private = (b"cache-control", PRIVATE.encode())
    sent = [(b"content-type", b"application/json"), sized, private, *headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})
