"""Event streams, read: from bytes in any pieces to the data of each event."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.errors import UpstreamBroken

LONGEST_EVENT = 256 * 1024


class EventReader:
    """Takes a stream piece by piece and gives the data of the events that are whole by then."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._held = 0

    def read(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data of the events that end in `piece`; raises UpstreamBroken for a giant.

        What came before a giant is given before that is told.
        """
        if not self._rest and not self._data and _is_one_event(piece):
            yield piece[6:-2]
            return
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            line = line.rstrip(b"\r")
            if not line:
                if self._data:
                    whole, self._data, self._held = b"\n".join(self._data), [], 0
                    yield whole
            elif line.startswith(b"data:"):
                data = line[5:].removeprefix(b" ")
                self._data.append(data)
                self._held += len(data)
                if self._held > LONGEST_EVENT:
                    raise UpstreamBroken
        if len(self._rest) + self._held > LONGEST_EVENT:
            raise UpstreamBroken

    def end(self) -> Iterator[bytes]:
        """Return what the stream's end leaves: some servers spare the last blank line."""
        return self.read(b"\n\n")


def _is_one_event(piece: bytes) -> bool:
    """Whether a piece is one event of one line, as most are."""
    return (
        piece[:6] == b"data: "
        and piece[-2:] == b"\n\n"
        and piece.find(b"\n") == len(piece) - 2
        and b"\r" not in piece
    )
