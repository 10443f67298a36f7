"""The end of an answer: the last of its bytes, and whether it came to its own end.

A provider's connection may end well where its answer does not, so a dialect says what the end of
its streams is. Pieces are not parsed as they pass. What leaves memory is searched once for two
marks of the dialect: usage, which is kept, and what finishes the answer or a choice of it. The last
events alone are read, after they have gone out; of one too large for that, its beginning.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from itertools import chain, islice

import msgspec

from proxy.wire.dialect import NO_STEP, Dialect, Route, Step
from proxy.wire.sse import EventReader
from proxy.wire.usage_parser import LONGEST as LONGEST_USAGE

# How much of an answer's end is kept at least, and how much at most.
TAIL_BYTES = 8 * 1024
MOST_BYTES = 2 * TAIL_BYTES
START_BYTES = 1024
# Of it, so much is read first: the very end of most streams.
LAST_BYTES = 1024
EVENT_STREAM = b"text/event-stream"


class Ending(Enum):
    """How an answer ended, by its own account."""

    COMPLETE = auto()
    FAILED = auto()
    """The provider said itself what went wrong."""
    BROKEN = auto()


class AnswerEnd:
    """Takes an answer piece by piece, and keeps what its end and its usage are told by."""

    def __init__(self, dialect: Dialect, route: Route) -> None:
        self._dialect = dialect
        self._has_known_end = route.name in dialect.STREAMS
        self._pieces: list[bytes] = []
        self._held = 0
        self._start = b""
        self._line = b""
        """How the line begins within which what is still held begins."""
        self._finished: set[int] = set()
        self._usages: list[bytes] = []
        """What follows the first and the last mark of usage that have left memory."""
        self.size = 0
        """Of all pieces, in bytes."""

    def append(self, piece: bytes) -> None:
        """Remember a piece, and let go of what is no longer of the end."""
        if self.size < START_BYTES:
            self._start = (self._start + piece)[:START_BYTES]
        self._pieces.append(piece)
        self.size += len(piece)
        self._held += len(piece)
        if self._held > MOST_BYTES:
            self._forget()

    def tail(self) -> bytes:
        """Return the last bytes of the answer: TAIL_BYTES, where it is as long, or some more."""
        return b"".join(self._pieces)

    def passed(self, rest: bytes) -> tuple[bytes, bytes]:
        """Return the first and the last bytes of a stream whose `rest` did not go out.

        The last ones follow the beginning of their line.
        """
        went_out = self.size - len(rest)
        tail = self._line + b"\n" + self.tail()
        return self._start[:went_out], tail.removesuffix(rest)

    def usage_texts(self) -> list[bytes]:
        """Return all that may hold the provider's usage, in the order in which it came."""
        tail = self.tail()
        texts = [*self._usages[:-1], *(_continued(last, tail) for last in self._usages[-1:])]
        # No JSON goes on over a line's end, so one text is not read into the next.
        return [part for text in (*map(self._first_usage, texts), tail) for part in (text, b"\n")]

    def ending(self, kind: bytes, rest: bytes) -> Ending | None:
        """Return how an answer of type `kind` ended; None where its dialect can't tell.

        `rest` is what came of an event stream after its last whole event.
        """
        if not self._has_known_end:
            return None
        if kind == EVENT_STREAM:
            return self._stream_ending(rest)
        is_closed = self._dialect.is_closed(self._start, self.tail())
        if is_closed is None:
            return None
        return Ending.COMPLETE if is_closed else Ending.BROKEN

    def has_failed(self) -> bool:
        """Whether a whole answer says itself that it failed."""
        return self._has_known_end and self._dialect.has_failed(self._start)

    def _forget(self) -> None:
        """Keep the last bytes alone, and what the others had of usage and of finished choices."""
        text = b"".join(self._pieces)
        end = len(text) - TAIL_BYTES
        self._keep_usage(text, end)
        self._keep_line(text, end)
        if self._has_known_end:
            self._finished |= self._finished_in(text, end)
        self._pieces, self._held = [text[end:]], TAIL_BYTES

    def _keep_line(self, text: bytes, end: int) -> None:
        first = text.rfind(b"\n", 0, end) + 1
        if first or not self._line:
            self._line = text[first : first + START_BYTES].partition(b"\n")[0]

    def _keep_usage(self, text: bytes, end: int) -> None:
        """Keep what follows the last mark that begins before `end`; some of it may be to come."""
        self._usages[-1:] = [_continued(last, text) for last in self._usages[-1:]]
        for start, _ in deque(self._dialect.USAGE.spans(text, end), maxlen=1):
            self._usages[1:] = [text[start : start + LONGEST_USAGE]]

    def _first_usage(self, text: bytes) -> bytes:
        """Return what was kept for its first mark without what a later one begins."""
        for start, _ in islice(self._dialect.USAGE.spans(text, len(text)), 1, 2):
            return text[:start]
        return text

    def _finished_in(self, text: bytes, end: int) -> set[int]:
        """Return the choices that are finished by events whose mark begins before `end`."""
        choices: set[int] = set()
        for mark in self._dialect.FINISH.spans(text, end):
            first = text.rfind(b"\n", 0, mark[0]) + 1
            last = text.find(b"\n", mark[1])
            line = text[first:] if last < 0 else text[first:last]
            step = self._step(line.removeprefix(b"data:"))
            # Of an event too large to be held, or of another shape, no more is known than that it
            # finishes something.
            choices.update((0,) if step in (None, NO_STEP) else step.finished)
        return choices

    def _stream_ending(self, rest: bytes) -> Ending:
        tail = self.tail()
        end = self._read_back(tail[-LAST_BYTES:])
        if not end.is_last:
            end = self._read_back(tail)
        if end.is_last or self._is_whole(rest):
            if end.is_error or self._is_large_failure(tail):
                return Ending.FAILED
            if end.is_last or self._is_finished(tail, end.begun):
                return Ending.COMPLETE
        return Ending.BROKEN

    def _is_large_failure(self, tail: bytes) -> bool:
        """Whether the event that ends all is too large to be read, and tells of a failure."""
        return (
            bool(self._finished)
            and not _events(tail)
            and self._dialect.has_failed(self._line.removeprefix(b"data:"))
        )

    def _is_finished(self, tail: bytes, choices: tuple[int, ...]) -> bool:
        ends = self._finished | self._finished_in(tail, len(tail))
        return bool(ends) and ends.issuperset(choices)

    def _read_back(self, tail: bytes) -> Step:
        """Return what the last events say together, up to what precedes the one that ends all."""
        choices: list[int] = []
        is_last = is_error = False
        for data, is_called_error in reversed(_events(tail)):
            step = self._step(data) or NO_STEP
            if step.is_last:
                is_last = True
                is_error = is_error or step.is_error
                continue
            if not choices:
                is_error = is_error or is_called_error or step.is_error
            if is_last:
                break
            choices += step.begun
        return Step(tuple(choices), is_last=is_last, is_error=is_error)

    def _is_whole(self, rest: bytes) -> bool:
        """Whether a stream's rest is an event but for its last line's end, or none at all."""
        if not rest:
            # Of an event too large to be held back, all has gone out that there was.
            return self.tail().endswith((b"\n", b"\r"))
        if not rest.strip() or rest.startswith(b":"):
            return True
        events = _events(rest)
        return bool(events) and all(self._step(data) is not None for data, _ in events)

    def _step(self, data: bytes) -> Step | None:
        """Return what an event says of its stream's end; None for what is no JSON."""
        try:
            return self._dialect.step(data.strip())
        except msgspec.ValidationError:
            return NO_STEP
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _continued(usage: bytes, text: bytes) -> bytes:
    """Return what follows a mark with more of it from `text`, whose tail is part of it already."""
    return usage + text[TAIL_BYTES:][: LONGEST_USAGE - len(usage)]


def _events(text: bytes) -> list[tuple[bytes, bool]]:
    """Return the data of each event, and whether it is called an error."""
    reader = EventReader()
    return [(data, reader.is_error) for data in chain(reader.read(text), reader.end())]
