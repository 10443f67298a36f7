"""The seam between the proxy and the HTTP client that reaches providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from proxy.common.web.content_encoding import BrokenEncoding, Decoder
from proxy.upstream.target import Origin

RawHeaders = list[tuple[bytes, bytes]]

_OF_ENCODED = (b"content-encoding", b"content-length")


class Upload(Protocol):
    """A request's body that is sent as it comes, once."""

    length: int | None
    """In bytes; None where it is known at the end alone."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give its pieces; what this raises ends the request."""


Body = bytes | Upload | None


class Answer(Protocol):
    """A provider's answer: its head has come, its body is read piece by piece."""

    status: int
    headers: RawHeaders
    is_complete: bool
    """Whether the answer has come to its end; some of it may still have to be read."""

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a header, by its name in lower case."""

    async def read(self) -> bytes:
        """Return what has come of the body since, or wait for more; empty at its end."""


class DecodedAnswer:
    """An answer that came compressed, as it would have come otherwise: an `Answer` itself."""

    def __init__(self, received: Answer, encoding: str) -> None:
        self.received = received
        """What the transport knows."""
        self.status = received.status
        self.headers = [each for each in received.headers if each[0] not in _OF_ENCODED]
        self.is_complete = False
        self._decoder = Decoder(encoding)
        self._is_drained = False
        self._beginning = b""

    def get(self, name: bytes) -> bytes | None:
        return next((value for known, value in self.headers if known == name), None)

    async def begin(self) -> None:
        """Read so far that the body is known to be what its encoding says.

        Raises BrokenEncoding, and the transport's faults.
        """
        self._beginning = await self.read()

    async def read(self) -> bytes:
        """Return the next decoded bytes, or wait for them; empty at the end alone.

        Raises BrokenEncoding where the body is not what its encoding says, or ends too early.
        """
        if beginning := self._beginning:
            self._beginning = b""
            return beginning
        if self._decoder.has_more:
            # A small piece may decode to many: others have their turn between them.
            await asyncio.sleep(0)
        while not (data := self._decoder.read()) and not self.is_complete:
            if self._is_drained:
                self._end()
                continue
            piece = await self.received.read()
            self._is_drained = self.received.is_complete
            self._decoder.feed(piece)
        return data

    def _end(self) -> None:
        # Where there is no body, as after HEAD, its encoding is told all the same.
        if self._decoder.has_begun and not self._decoder.is_complete:
            raise BrokenEncoding
        self.is_complete = True


class Transport(Protocol):
    """Sends requests to origins; `http1.ProtocolError`, OSError and TimeoutError are its faults."""

    async def send(self, origin: Origin, head: bytes, body: Body, *, is_safe: bool) -> Answer:
        """Send a request and return its answer; the caller gives it to `release` in the end.

        An answer that comes before the body's end ends the upload.
        """

    def release(self, origin: Origin, answer: Answer) -> None:
        """Be done with an answer that `send` returned, wherever it stands."""
