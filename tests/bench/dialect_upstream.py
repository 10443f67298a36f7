"""A provider that answers in the dialect of the path: the harness's own, with other answers.

    python -m tests.bench.dialect_upstream HARNESS --port PORT

A streamed answer has 200 pieces, 10 ms apart.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.bench.dialect_shapes import SHAPES, Shape

PIECES, GAP_SECONDS = 200, 0.01


def _shape_at(path: bytes) -> Shape:
    for ending, name in (
        (b"/messages", "messages"),
        (b"/responses", "responses"),
        (b"enerateContent", "gemini"),
        (b"/embeddings", "embeddings"),
    ):
        if ending in path:
            return SHAPES[name]
    return SHAPES["chat"]


def _whole(shape: Shape) -> bytes:
    body = json.dumps(shape.whole).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def main() -> None:
    harness = Path(sys.argv.pop(1))
    sys.path.insert(0, str(harness))
    import mock_upstream  # The harness's own.

    wholes = {name: _whole(shape) for name, shape in SHAPES.items()}
    names = {id(shape): name for name, shape in SHAPES.items()}

    class Upstream(mock_upstream.Upstream):
        """Answers as the path's dialect does."""

        def on_url(self, url: bytes) -> None:
            self.shape = _shape_at(url)
            self.is_streamed = b":stream" in url

        def on_message_complete(self) -> None:
            body, self.body = b"".join(self.body), []
            if self.is_streamed or b'"stream": true' in body:
                self.left, self.gap = PIECES, GAP_SECONDS
                self.start()
            else:
                self.transport.write(wholes[names[id(self.shape)]])

        def start(self) -> None:
            self.transport.write(mock_upstream.SSE_HEAD + _chunked(self.shape.begin))
            self.due = self.loop.time()
            self.step()

        def step(self) -> None:
            if self.paused or self.transport.is_closing():
                return
            self.left -= 1
            piece = _chunked(self.shape.piece % time.monotonic_ns())
            if self.left:
                self.transport.write(piece)
                self.due += self.gap
                self.timer = self.loop.call_at(self.due, self.step)
            else:
                self.transport.write(piece + _chunked(self.shape.end) + b"0\r\n\r\n")

    mock_upstream.Upstream = Upstream
    mock_upstream.uvloop.run(mock_upstream.main())


if __name__ == "__main__":
    main()
