"""The connections that providers are reached by: made where the guard permits, kept for a while.

There are two pools, which live as long as their event loop: one for targets that callers name, and
one for the operator's own model. A kept connection serves all callers of a provider, one after the
other; it holds nothing of any of them.
"""

from __future__ import annotations

import asyncio
import errno
import random
import ssl
from functools import cache, partial

from aiohappyeyeballs import start_connection

from proxy.common.runtime.per_loop import PerLoop
from proxy.options import options
from proxy.upstream.http1 import Connection, ProtocolError
from proxy.upstream.ssrf_guard import Resolver
from proxy.upstream.target import Origin
from proxy.upstream.transport import Answer, Body

# How long an idle connection is kept: less than the server's own keep-alive timeout, so that a
# request rarely meets a closing connection. Load balancers (TLS) allow a minute or more, servers of
# local models (plain HTTP) five seconds.
KEEPALIVE_SECONDS = 15.0
PLAINTEXT_KEEPALIVE_SECONDS = 4.0
MAX_IDLE = 512
SWEEP_SECONDS = 2.0
# Delays before retrying ECONNREFUSED or ECONNRESET, jittered.
REFUSED_RETRY_DELAYS = (0.1, 0.3)
# Happy Eyeballs (RFC 8305): the delay before the next address is tried in parallel.
NEXT_ADDRESS_SECONDS = 0.25


class Pool:
    """Connections to any number of origins; those in use are bounded by their callers."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, list[Connection]] = {}
        self._count = 0
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many connections are kept that nobody uses."""
        return self._count

    async def send(self, origin: Origin, head: bytes, body: Body, *, is_safe: bool) -> Connection:
        """Send a request and return the connection that its answer comes by, its head read.

        The caller gives the connection to `release` in the end. A request that is safe to repeat is
        sent again where a kept connection ends before a byte of the answer: the provider had hung
        up meanwhile. Raises ProtocolError, OSError, TimeoutError, and what the guard raises.
        """
        is_whole = body is None or isinstance(body, bytes)
        # What comes as a stream can't be sent again: it gets a connection that is surely alive.
        if is_whole and (connection := self._checkout(origin)):
            try:
                return await _send_on(connection, head, body)
            except ProtocolError:
                if connection.has_response_bytes or not is_safe:
                    raise
        return await _send_on(await self._connect(origin), head, body)

    def release(self, origin: Origin, answer: Answer) -> None:
        """Keep a connection for the next caller, if its answer came to its end; else hang up."""
        connection = answer
        assert isinstance(connection, Connection)
        if not connection.release():
            return
        if self._count >= MAX_IDLE:
            connection.close()
            return
        if connection.keeps_for is None:
            connection.keeps_for = _keepalive(origin, connection)
        connection.kept_until = self._loop.time() + connection.keeps_for
        self._idle.setdefault(origin, []).append(connection)
        self._count += 1
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Hang up what nobody uses."""
        if self._sweeping:
            self._sweeping.cancel()
            self._sweeping = None
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()
        self._count = 0

    def _checkout(self, origin: Origin) -> Connection | None:
        """Return the connection that was used last, if one is alive."""
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            self._count -= 1
            if connection.is_open and connection.kept_until > self._loop.time():
                return connection
            connection.close()
        return None

    def _sweep(self) -> None:
        """Hang up what was not used for too long."""
        self._sweeping, now = None, self._loop.time()
        for origin, connections in list(self._idle.items()):
            alive = [each for each in connections if each.is_open and each.kept_until > now]
            for connection in set(connections).difference(alive):
                connection.close()
            self._count -= len(connections) - len(alive)
            if alive:
                self._idle[origin] = alive
            else:
                del self._idle[origin]
        if self._idle:
            self._sweeping = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    async def _connect(self, origin: Origin) -> Connection:
        """Return a new connection; a refused attempt is repeated within the connect timeout."""
        async with asyncio.timeout(options().connect_timeout):
            for wait in REFUSED_RETRY_DELAYS:
                try:
                    return await self._connect_once(origin)
                except OSError as error:
                    if error.errno not in (errno.ECONNREFUSED, errno.ECONNRESET):
                        raise
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            return await self._connect_once(origin)

    async def _connect_once(self, origin: Origin) -> Connection:
        addresses = await self._resolver.addresses(origin.host, origin.port)
        socket = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS)
        try:
            _, connection = await self._loop.create_connection(
                partial(Connection, self._loop),
                sock=socket,
                ssl=tls() if origin.is_tls else None,
                server_hostname=origin.host if origin.is_tls else None,
            )
        except BaseException:
            socket.close()
            raise
        return connection


async def _send_on(connection: Connection, head: bytes, body: Body) -> Connection:
    try:
        await connection.send_request(head, body)
    except BaseException:
        connection.close()
        raise
    return connection


def _keepalive(origin: Origin, connection: Connection) -> float:
    """Return how long a connection may wait: as long as the provider says, less a second."""
    usual = KEEPALIVE_SECONDS if origin.is_tls else PLAINTEXT_KEEPALIVE_SECONDS
    timeout = (connection.get(b"keep-alive") or b"").partition(b"timeout=")[2].partition(b",")[0]
    return min(usual, max(int(timeout) - 1, 0)) if timeout.isdigit() else usual


@cache
def tls() -> ssl.SSLContext:
    """Return the TLS context for providers: certificates and host names are verified."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


_guarded_pools = PerLoop(lambda: Pool(Resolver(is_guarded=True)), Pool.close)
_trusted_pools = PerLoop(lambda: Pool(Resolver(is_guarded=False)), Pool.close)


def guarded_pool() -> Pool:
    """Return the pool for targets that callers name: it connects to what the guard permits."""
    return _guarded_pools.get()


def trusted_pool() -> Pool:
    """Return the pool for the address that the operator configured, or that we listen on."""
    return _trusted_pools.get()


def close() -> None:
    """Hang up what this loop keeps."""
    for pools in (_guarded_pools, _trusted_pools):
        if pool := pools.pop():
            pool.close()
