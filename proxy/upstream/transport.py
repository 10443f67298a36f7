"""The seam between the proxy and the HTTP client that reaches providers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from proxy.upstream.target import Origin

RawHeaders = list[tuple[bytes, bytes]]


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


class Transport(Protocol):
    """Sends requests to origins; `http1.ProtocolError`, OSError and TimeoutError are its faults."""

    async def send(self, origin: Origin, head: bytes, body: Body, *, is_safe: bool) -> Answer:
        """Send a request and return its answer; the caller gives it to `release` in the end.

        An answer that comes before the body's end ends the upload.
        """

    def release(self, origin: Origin, answer: Answer) -> None:
        """Be done with an answer that `send` returned, wherever it stands."""
