"""A server's answers in another dialect than its own, read as they come."""

from __future__ import annotations

import msgspec

from proxy.common.errors import ApiError
from proxy.errors import UpstreamBroken
from proxy.upstream.target import Origin
from proxy.upstream.transport import Answer, Body, RawHeaders, Transport
from proxy.wire.answer_end import EVENT_STREAM
from proxy.wire.sse import EventReader
from proxy.wire.translation.chat import AnswerWriter

# A whole answer is no longer than this.
LONGEST_WHOLE = 10 * 1024 * 1024
# Describe the bytes that came, not those that are made of them.
_OF_THE_BODY = (b"content-length", b"transfer-encoding")


class TranslatingTransport:
    """A transport whose answers are written anew; refusals stay as they came."""

    def __init__(self, transport: Transport, writer: AnswerWriter) -> None:
        self._transport = transport
        self._writer = writer

    async def send(self, origin: Origin, head: bytes, body: Body, *, is_safe: bool) -> Answer:
        answer = await self._transport.send(origin, head, body, is_safe=is_safe)
        return answer if answer.status >= 300 else TranslatedAnswer(answer, self._writer)

    def release(self, origin: Origin, answer: Answer) -> None:
        source = answer.source if isinstance(answer, TranslatedAnswer) else answer
        self._transport.release(origin, source)


class TranslatedAnswer:
    """An answer as its writer writes it: an event stream event by event, any other at its end."""

    def __init__(self, source: Answer, writer: AnswerWriter) -> None:
        self.source = source
        self.status = source.status
        self.headers: RawHeaders = [each for each in source.headers if each[0] not in _OF_THE_BODY]
        self.is_complete = False
        self._writer = writer
        kind = (source.get(b"content-type") or b"").partition(b";")[0].strip().lower()
        self._reader = EventReader() if kind == EVENT_STREAM else None
        self._whole = bytearray()
        self._fault: ApiError | None = None

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a header, by its name in lower case."""
        return next((value for known, value in self.headers if known == name), None)

    async def read(self) -> bytes:
        """Return what could be written since, or wait for more; empty at the end.

        Raises UpstreamBroken for what is no answer, and what the source raises.
        """
        written = b""
        while not written and not self.is_complete:
            if self._fault:
                raise self._fault
            piece = await self.source.read()
            is_last = self.source.is_complete
            if self._reader:
                written = self._write_events(self._reader, piece, is_last)
            else:
                written = self._write_whole(piece, is_last)
            self.is_complete = is_last and self._fault is None
        return written

    def _write_events(self, reader: EventReader, piece: bytes, is_last: bool) -> bytes:
        """Return what the events of a piece become; a fault among them is raised after it."""
        written: list[bytes] = []
        try:
            written.extend(map(self._writer.events, reader.read(piece)))
            if is_last:
                written.extend(map(self._writer.events, reader.end()))
                written.append(self._writer.end())
        except ApiError as fault:
            self._fault = fault
        return b"".join(written)

    def _write_whole(self, piece: bytes, is_last: bool) -> bytes:
        self._whole += piece
        if len(self._whole) > LONGEST_WHOLE:
            raise UpstreamBroken
        if not is_last:
            return b""
        try:
            return self._writer.whole(bytes(self._whole))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamBroken from None
