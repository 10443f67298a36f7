"""A provider that reads and writes bytes as a test says, for bodies that no server should hold."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Serve = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class RawProvider:
    """Serves each connection by `serve`, in a thread of its own, and closes it then."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._run, args=[connection], daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(20)
            self._serve(connection)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Return what comes up to `end`, and what came with it; less where the connection ends."""
    read = b""
    while end not in read:
        piece = connection.recv(65536)
        if not piece:
            break
        read += piece
    return read


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a request, and what has come of its body."""
    head, _, body = read_until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
    return head, body
