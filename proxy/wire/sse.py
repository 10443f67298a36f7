"""Parse event streams: from bytes in any pieces to the data of each event."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.errors import UpstreamBroken

LONGEST_EVENT = 256 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventReader:
    """Takes a stream piece by piece and gives the data of the events that are whole by then."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._held = 0
        self._is_first_line = True
        self._ended_with_cr = False
        """Whether a line feed that comes next belongs to a line end that was already seen."""

    def read(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data of the events that end in `piece`; raises UpstreamBroken for a giant.

        Events before one that is too large are yielded before the error is raised.
        """
        if not self._rest and not self._data and _is_one_event(piece):
            self._is_first_line = self._ended_with_cr = False
            yield piece[6:-2]
            return
        lines = (self._rest + self._with_line_feeds(piece)).split(b"\n")
        self._rest = lines.pop()
        if self._is_first_line and lines:
            self._is_first_line = False
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        for line in lines:
            if not line:
                if self._data:
                    whole, self._data, self._held = b"\n".join(self._data), [], 0
                    yield whole
            elif line.startswith(b"data:") or line == b"data":
                data = line[5:].removeprefix(b" ")
                self._data.append(data)
                # Empty lines count too, or any number of them could be held.
                self._held += len(data) + 1
                if self._held > LONGEST_EVENT:
                    raise UpstreamBroken
        if len(self._rest) + self._held > LONGEST_EVENT:
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


def _is_one_event(piece: bytes) -> bool:
    """Whether a piece is one event of one line, as most are."""
    return (
        piece[:6] == b"data: "
        and piece[-2:] == b"\n\n"
        and piece.find(b"\n") == len(piece) - 2
        and b"\r" not in piece
        and len(piece) <= LONGEST_EVENT
    )
