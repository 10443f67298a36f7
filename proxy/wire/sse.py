"""Parse event streams: from bytes in any pieces to the data of each event, or to whole events."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.errors import UpstreamBroken

LONGEST_EVENT = 256 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# How an event ends, in whichever line ends the provider writes.
_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_LONGEST_END = 3
# Comments and empty lines between two events: they keep a client awake, and belong to neither.
_BETWEEN = re.compile(rb"(?:(?::[^\r\n]*)?[\r\n])*")


class EventReader:
    """Takes a stream piece by piece and gives the data of the events that are whole by then.

    An event has at most `longest` bytes.
    """

    def __init__(self, longest: int = LONGEST_EVENT) -> None:
        self._longest = longest
        self._rest = b""
        self._data: list[bytes] = []
        self._held = 0
        self._is_first_line = True
        self._ended_with_cr = False
        """Whether a line feed that comes next belongs to a line end that was already seen."""
        self._name = b""
        self.is_error = False
        """Whether the event that was yielded last is called an error."""

    def read(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data of the events that end in `piece`; raises UpstreamBroken for a giant.

        Events before one that is too large are yielded before the error is raised.
        """
        if not self._rest and not self._data and _is_one_event(piece):
            self._is_first_line = self._ended_with_cr = False
            self.is_error, self._name = self._name == b"error", b""
            yield piece[6:-2]
            return
        lines = (self._rest + self._with_line_feeds(piece)).split(b"\n")
        self._rest = lines.pop()
        if self._is_first_line and lines:
            self._is_first_line = False
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        for line in lines:
            if not line:
                self.is_error, self._name = self._name == b"error", b""
                if self._data:
                    whole, self._data, self._held = b"\n".join(self._data), [], 0
                    yield whole
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
            elif line.startswith(b"data:") or line == b"data":
                data = line[5:].removeprefix(b" ")
                self._data.append(data)
                # Empty lines count too, or any number of them could be held.
                self._held += len(data) + 1
                if self._held > self._longest:
                    raise UpstreamBroken
        if len(self._rest) + self._held > self._longest:
            raise UpstreamBroken

    def end(self) -> Iterator[bytes]:
        """Return what the stream's end leaves: some servers spare the last blank line."""
        self._ended_with_cr = False
        return self.read(b"\n\n")

    def _with_line_feeds(self, piece: bytes) -> bytes:
        """Return a piece with each CR LF and CR as LF, also where two pieces part the pair."""
        if self._ended_with_cr and piece:
            self._ended_with_cr = False
            piece = piece.removeprefix(b"\n")
        if b"\r" not in piece:
            return piece
        self._ended_with_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class EventGate:
    """Lets a stream pass event by event: what is not whole waits for its end, or never goes out.

    Bytes stay as they are. What is larger than LONGEST_EVENT goes on as it comes.
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def passed(self, piece: bytes) -> bytes:
        """Return what may go out now that `piece` has come."""
        held = self._held
        if not held and piece.endswith(_ENDS):
            return piece
        start = max(len(held) - _LONGEST_END, 0)
        held += piece
        ends = (held.rfind(end, start) + len(end) for end in _ENDS if held.find(end, start) >= 0)
        between = _BETWEEN.match(held, max(ends, default=0))
        last = between.end() if between else 0
        if len(held) - last > LONGEST_EVENT:
            last = len(held)
        passed = bytes(held[:last])
        del held[:last]
        return passed

    def rest(self) -> bytes:
        """Return what waits for its end."""
        return bytes(self._held)


def _is_one_event(piece: bytes) -> bool:
    """Whether a piece is one event of one line, as most are."""
    return (
        piece[:6] == b"data: "
        and piece[-2:] == b"\n\n"
        and piece.find(b"\n") == len(piece) - 2
        and b"\r" not in piece
        and len(piece) <= LONGEST_EVENT
    )
