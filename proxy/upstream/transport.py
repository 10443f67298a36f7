"""The seam between the proxy and the HTTP client that reaches providers."""

from __future__ import annotations

from typing import Protocol

from proxy.upstream.target import Origin

RawHeaders = list[tuple[bytes, bytes]]


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

    async def send(
        self, origin: Origin, head: bytes, body: bytes | None, *, is_safe: bool
    ) -> Answer:
        """Send a request and return its answer; the caller gives it to `release` in the end."""

    def release(self, origin: Origin, answer: Answer) -> None:
        """Be done with an answer that `send` returned, wherever it stands."""
