"""Patches of what daphne's server does otherwise than uvicorn, and must not.

Its command starts the application as uvicorn's does, so there is no class to derive from: all
changes are made to daphne's own, when `asgi.py` is imported under it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Protocol

from alchemyst.web.redaction import PROXY_PREFIX, mask


def patch_daphne() -> None:
    """Mask daphne's access log, let it cut broken answers, and refuse WebSockets with a status."""
    if access := sys.modules.get("daphne.access"):
        _mask(access.AccessLogGenerator)
    if server := sys.modules.get("daphne.server"):
        _cut_broken_answers(server.Server)
    if protocol := sys.modules.get("daphne.http_protocol"):
        _leave_upgrades(protocol.WebRequest)


def _mask(log: Any) -> None:
    """Mask the access log of daphne's command, which is written by no logger.

    It reads the request's line before the application does.
    """
    write_entry = log.write_entry

    def write_masked(self: Any, *args: Any, request: str, **details: Any) -> None:
        write_entry(self, *args, request=mask(request), **details)

    log.write_entry = write_masked


class _Headers(Protocol):
    def getRawHeaders(self, name: bytes, default: list[bytes]) -> list[bytes]: ...

    def setRawHeaders(self, name: bytes, values: list[bytes]) -> None: ...


class _Request(Protocol):
    """A request of Twisted's, as daphne's own class has it."""

    path: bytes
    requestHeaders: _Headers

    def process(self) -> object: ...


def _leave_upgrades(request: type[_Request]) -> None:
    """Have the application answer the handshakes of WebSockets on the proxy's path.

    daphne itself can refuse one by 403 alone. It takes the name of the protocol for one only if
    nothing follows it, and a version may.
    """
    process = request.process

    def process_as_http(self: _Request) -> object:
        upgrade = self.requestHeaders.getRawHeaders(b"Upgrade", [b""])[0]
        if upgrade.lower() == b"websocket" and self.path.startswith(PROXY_PREFIX.encode()):
            self.requestHeaders.setRawHeaders(b"Upgrade", [b"websocket/13"])
        return process(self)

    request.process = process_as_http  # type: ignore[method-assign]


def _cut_broken_answers(server: Any) -> None:
    """Cut the connection of an application that ends before its answer does.

    daphne would leave the client waiting for the rest; and after an exception it would try to begin
    a second answer, which ends the loop in which it looks after all connections.
    """
    create_application = server.create_application

    def create(self: Any, protocol: Any, scope: dict[str, Any]) -> Any:
        def cut(ended: asyncio.Future[None]) -> None:
            if protocol._response_started and not protocol.finished and protocol.channel:
                protocol.loseConnection()

        queue = create_application(self, protocol, scope)
        running = self.connections.get(protocol, {}).get("application_instance")
        if running and scope["type"] == "http":
            running.add_done_callback(cut)
        return queue

    server.create_application = create
