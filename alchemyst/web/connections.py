"""What a client that sends slowly, or nothing, may hold: a connection, for how long, how many.

uvicorn has a clock for connections between requests alone. This protocol adds one for the head of a
request, and for what nobody reads of a body, and bounds the connections of a process, so that some
of its descriptors are left for the ways out. Bodies that are read have their own clock
(body_clock.py). uvicorn is started with it: `--http alchemyst.web.connections:ClockedProtocol`.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# As many descriptors are taken where the system allows it; a connection in may need one out.
USEFUL_DESCRIPTORS = 65_536
MOST_CONNECTIONS = 8_192
LEAST_CONNECTIONS = 16

FULL = b"503 Service Unavailable"
TOO_SLOW = b"408 Request Timeout"

logger = logging.getLogger("alchemyst.web.connections")


class ClockedProtocol(HttpToolsProtocol):
    """A connection that is closed when a request's head, or an unread body, takes too long."""

    _clock: asyncio.TimerHandle | None = None
    _last_data = 0.0
    _has_begun = False
    """A request has begun to arrive, and its head is not complete."""
    _is_whole = True
    """The last request has arrived to its end."""
    _is_upgraded = False

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    @property
    def waits_since(self) -> float | None:
        """When the client last sent something, where it is the client that we wait for."""
        is_ours = self._is_answering and (self._is_whole or self.flow.read_paused)
        return None if is_ours or self._is_upgraded else self._last_data

    def abort(self) -> None:
        """Close at once, for another connection."""
        self._stop_clock()
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._last_data = self.loop.time()
        if connections.admit(self):
            self._start_clock()
        else:
            self._refuse(FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._last_data = self.loop.time()
        if not self._is_answering:
            self._start_clock()
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._has_begun, self._is_whole = True, False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes behind a body is a trailer, and no header that anybody has checked.
        if self._has_begun:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._has_begun = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_whole = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.is_open and not self._is_whole:
            self._start_clock()

    def handle_websocket_upgrade(self) -> None:
        self._stop_clock()
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        # Of a handshake that it can't read, a POST for one, its reader says nothing, and waits.
        self._is_upgraded = getattr(protocol, "handshake_initiated", True)
        if not self._is_upgraded:
            self.transport.set_protocol(self)
            self.connections.discard(protocol)
            self.send_400_response("This is no handshake of a WebSocket.")

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(settings.REQUEST_HEAD_SECONDS, self._run_out)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _run_out(self) -> None:
        self._clock = None
        if self.is_open and self._has_begun:
            self._refuse(TOO_SLOW)
        elif self.is_open:
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
        self.transport.close()


class Connections:
    """The open connections of a process, in all and by address, each number bounded.

    A new one that is one too many takes the place of whoever has kept us waiting longest, of its
    own address or of all; where none waits it is refused.
    """

    def __init__(self) -> None:
        self._by_address: defaultdict[str, dict[ClockedProtocol, None]] = defaultdict(dict)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def admit(self, connection: ClockedProtocol) -> bool:
        """Take a connection in; say whether there was a place."""
        own = self._by_address[_address(connection)]
        most, most_of_address = bounds()
        if most_of_address and len(own) >= most_of_address and not self._make_room(own):
            return False
        if self._count >= most and not self._make_room(self._all()):
            return False
        self._by_address[_address(connection)][connection] = None
        self._count += 1
        return True

    def remove(self, connection: ClockedProtocol) -> None:
        address = _address(connection)
        own = self._by_address[address]
        if connection in own:
            del own[connection]
            self._count -= 1
        if not own:
            del self._by_address[address]

    def _all(self) -> Iterator[ClockedProtocol]:
        return chain.from_iterable(self._by_address.values())

    def _make_room(self, candidates: Iterable[ClockedProtocol]) -> bool:
        """Let go of those that have closed, or of the one that we wait for longest."""
        candidates = list(candidates)
        # A WebSocket's end is told to another protocol.
        closed = [each for each in candidates if not each.is_open]
        waiting = [each for each in candidates if each.waits_since is not None]
        if not closed and waiting:
            slowest = min(waiting, key=lambda each: each.waits_since or 0.0)
            slowest.abort()
            closed = [slowest]
        for each in closed:
            self.remove(each)
        if not closed:
            logger.warning("A connection was refused: %d are open, and all are served.", len(self))
        return bool(closed)


connections = Connections()


def bounds() -> tuple[int, int]:
    """Return how many connections may be open in all, and from one address (0 for any number).

    Behind reverse proxies of the operator's all addresses are theirs, and say nothing.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = settings.MAX_CONNECTIONS or min(descriptors // 2, MOST_CONNECTIONS)
    most_of_address = 0 if settings.TRUSTED_PROXIES else settings.MAX_CONNECTIONS_OF_ADDRESS
    return max(most, LEAST_CONNECTIONS), most_of_address


def raise_descriptor_limit() -> None:
    """Take as many descriptors as are of use, where the system gives them for the asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = USEFUL_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, USEFUL_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _address(connection: ClockedProtocol) -> str:
    return connection.client[0] if connection.client else ""
