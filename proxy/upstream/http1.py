"""One HTTP/1.1 connection to a provider: a request goes up, its answer comes down in pieces.

It carries one exchange after the other and knows nothing of targets, callers or time: who may be
asked is decided before, how long it may take by whoever waits. What comes must be HTTP/1.1 to the
letter, as httptools (llhttp) reads it; the first byte that is not ends the connection, and with it
the wait of whoever reads.
"""

from __future__ import annotations

import asyncio

import httptools

from proxy.upstream.transport import Body, RawHeaders, Upload

# Stop reading the socket above this many buffered bytes.
READ_HIGH_WATER = 256 * 1024
# Hang up after this many bytes without a head's end or body data: header fields, 1xx responses,
# chunk extensions, trailers.
MAX_NON_BODY = 64 * 1024
# Write a larger body in pieces of this size, with flow control between them.
WRITE_CHUNK = 512 * 1024


class ProtocolError(Exception):
    """The connection ended before the answer did, or the answer is not valid HTTP/1.1."""


def head_of(
    method: str, path: bytes, host: bytes, headers: RawHeaders, length: int | None
) -> bytes:
    """Return a request's head; raises ValueError for parts that would read as something else."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), path), b"host: " + host]
    lines += [b"%b: %b" % header for header in headers]
    if length is not None:
        lines.append(b"content-length: %d" % length)
    head = b"\r\n".join(lines)
    ends = len(lines) - 1
    if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\0" in head or b" " in path:
        raise ValueError("a part of the request has a line's end, a NUL or a space")
    return head + b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """A connection, and the answer that comes over it: its status and headers, and `read`."""

    __slots__ = (
        "_buffered",
        "_has_no_body",
        "_is_full",
        "_is_lost",
        "_is_requested",
        "_is_reusable",
        "_is_sent",
        "_loop",
        "_non_body_bytes",
        "_parser",
        "_pieces",
        "_transport",
        "_waiters",
        "has_response_bytes",
        "headers",
        "is_complete",
        "keeps_for",
        "kept_until",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._waiters: list[asyncio.Future[None]] = []
        self._is_requested = self._is_lost = self._is_full = False
        self.keeps_for: float | None = None
        """For how many seconds it may wait for the next request, once that is known."""
        self.kept_until = 0.0

    async def send_request(self, head: bytes, body: Body) -> None:
        """Send a request and wait for the head of its answer; raises ProtocolError."""
        self.status = 0
        self.headers: RawHeaders = []
        self.is_complete = False
        """Whether the answer has come to its end; some of it may still have to be read."""
        self.has_response_bytes = False
        """Whether a byte of the answer has come."""
        self._pieces: list[bytes] = []
        self._buffered = self._non_body_bytes = 0
        self._is_requested, self._is_sent, self._is_reusable = True, True, False
        self._has_no_body = head.startswith(b"HEAD ")
        if not body:
            self._transport.write(head)
        elif not isinstance(body, bytes):
            await self._upload(head, body)
        elif len(body) <= WRITE_CHUNK:
            self._transport.writelines((head, body))
        else:
            await self._write_in_pieces(head, body)
        while not self.status:
            if self._is_lost:
                raise ProtocolError
            await self._wait_for_change()

    async def read(self) -> bytes:
        """Return what has come of the body since, or wait for more; empty at its end.

        Raises ProtocolError where it breaks off, once all that came before has been read.
        """
        while not self._pieces:
            if self.is_complete:
                return b""
            if self._is_lost:
                raise ProtocolError
            await self._wait_for_change()
        pieces, self._pieces = self._pieces, []
        if self._buffered > READ_HIGH_WATER and self.is_open:
            self._transport.resume_reading()
        self._buffered = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a header of the answer, by its name in lower case."""
        for known, value in self.headers:
            if known == name:
                return value
        return None

    def release(self) -> bool:
        """Be done with the answer; say whether another request may follow. Otherwise hang up."""
        if self.is_complete and self._is_reusable and self._is_sent and self.is_open:
            self._is_requested = False
            return True
        self.close()
        return False

    def close(self) -> None:
        """Hang up at once, whatever is under way."""
        if not self._is_lost:
            self._is_lost = True
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        return not self._is_lost and not self._transport.is_closing()

    async def _write_in_pieces(self, head: bytes, body: bytes) -> None:
        """Write a large body as fast as it is taken; a provider that answers has had enough."""
        self._is_sent = False
        self._transport.write(head)
        whole = memoryview(body)
        for start in range(0, len(body), WRITE_CHUNK):
            while self._is_full and not self.status and not self._is_lost:
                await self._wait_for_change()
            if self.status or self._is_lost:
                return
            self._transport.write(whole[start : start + WRITE_CHUNK])
        self._is_sent = True

    async def _upload(self, head: bytes, body: Upload) -> None:
        """Send a body as it comes, until it ends or the provider answers, who has had enough.

        Raises what the body raises, if no answer has come by then.
        """
        self._is_sent = False
        self._transport.write(head)
        writing = self._loop.create_task(self._write_stream(body))
        writing.add_done_callback(lambda _: self._wake())
        try:
            while not (self.status or self._is_lost or writing.done()):
                await self._wait_for_change()
            if writing.done() and not self.status:
                writing.result()
        finally:
            writing.cancel()
            await asyncio.wait([writing])
            if not writing.cancelled():
                writing.exception()

    async def _write_stream(self, body: Upload) -> None:
        """Write each piece when there is room for it, in chunks where the length is not known."""
        is_chunked = body.length is None
        async for piece in body:
            while self._is_full and not self._is_lost:
                await self._wait_for_change()
            if self._is_lost:
                return
            if is_chunked and piece:
                self._transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
            else:
                self._transport.write(piece)
        if is_chunked:
            self._transport.write(b"0\r\n\r\n")
        self._is_sent = True

    def _wait_for_change(self) -> asyncio.Future[None]:
        """Return a future that is done when bytes, room to write or the connection's end come."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self._is_requested or self._parser is None:
            # Bytes without a request: the connection cannot be trusted for the next one.
            self.close()
            return
        self.has_response_bytes = True
        self._non_body_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Garbage after a complete answer only bars the connection from reuse.
            self._is_reusable = False
            if not self.is_complete:
                self.close()
        if self._non_body_bytes > MAX_NON_BODY:
            self.close()
        elif self._buffered > READ_HIGH_WATER and self.is_open:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = True
            if (
                self._is_requested
                and self.status
                and error is None
                and self._ends_with_connection()
            ):
                self.is_complete = True
        # The parser refers to this connection: break the reference cycle.
        self._parser = None
        self._wake()

    def _ends_with_connection(self) -> bool:
        return self.get(b"content-length") is None and self.get(b"transfer-encoding") is None

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self.is_complete:
            # A second answer to one request.
            self._is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # Fields after the head are trailers.
        if not self.status:
            # The parser leaves white space at the end of a value.
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if not status:
            # 000 is no status, and here means that none has come.
            self.close()
        elif 100 <= status < 200:
            self.headers.clear()
        elif not self.status:
            self.status = status
            self._non_body_bytes = 0
            if self._has_no_body:
                # The parser would wait for the body whose length the head tells.
                self.is_complete = True

    def on_body(self, piece: bytes) -> None:
        if not self.is_complete:
            self._pieces.append(piece)
            self._buffered += len(piece)
            self._non_body_bytes = 0

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self.status and not self.is_complete:
            self.is_complete = True
            self._is_reusable = self._parser.should_keep_alive()
