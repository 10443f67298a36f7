"""A wire tap: it stands between a client and a server, and keeps each byte that passes."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from contextlib import suppress
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Sent:
    """A request as a client sent it."""

    path: str
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


class Tap:
    """Passes connections on to a port of this machine."""

    def __init__(self, port: int) -> None:
        self.upward: list[bytearray] = []
        self.downward: list[bytearray] = []
        tap = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                tap._pass_on(self.request, port)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def requests(self) -> list[Sent]:
        """The requests in the order in which their connections were made."""
        return [request for text in self.upward for request in _requests(bytes(text))]

    def answered(self, header: str) -> list[str]:
        """The values of a header in all answers, in their order."""
        pattern = re.compile(rf"(?im)^{re.escape(header)}: ?(.*?)\r$".encode())
        return [value.decode() for text in self.downward for value in pattern.findall(bytes(text))]

    def _pass_on(self, client: socket.socket, port: int) -> None:
        upward, downward = bytearray(), bytearray()
        self.upward.append(upward)
        self.downward.append(downward)
        with socket.create_connection(("127.0.0.1", port)) as server:
            answers = threading.Thread(target=_copy, args=(server, client, downward), daemon=True)
            answers.start()
            _copy(client, server, upward)
            answers.join(10)


def _copy(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
    """Pass bytes on till their end, and the end too."""
    try:
        while piece := source.recv(65536):
            kept += piece
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # A reset is passed on as an end: a body that lacks its last chunk is broken as well.
        for each in (source, sink):
            _shut(each)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _requests(text: bytes) -> list[Sent]:
    """Take apart what one connection carried; each body has its length."""
    requests = []
    while text:
        head, _, rest = text.partition(HEAD_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", 0))
        requests.append(Sent(first.split(" ")[1], headers, rest[:length]))
        text = rest[length:]
    return requests
