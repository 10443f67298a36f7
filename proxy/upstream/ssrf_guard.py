"""May we connect there? Decided on the address that is then connected to.

A target is a stranger's URL. Public hosts may be reached by https on port 443; everything else
only where the operator lists that host and port. Names are resolved once, by the resolver below:
what it returns is what is connected to, so a name that changes its address between a check and a
connection gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.http.request import validate_host

from proxy.common.ttl_cache import TTLCache
from proxy.errors import InvalidTarget, UpstreamUnreachable
from proxy.options import options
from proxy.upstream.target import Base

DNS_SECONDS = 5
DNS_MEMORY_SECONDS = 60
MOST_NAMES = 2048

# Refused although Python calls them global: Azure's host agent; addresses that only carry another
# one inside; and site-local ones, deprecated but routed in places.
_ALSO_REFUSED = tuple(
    ip_network(block)
    for block in (
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2002::/16",
        "fec0::/10",
    )
)
_GLOBAL_IPV6 = IPv6Network("2000::/3")


def check(base: Base, own_host: str) -> None:
    """Raise InvalidTarget unless requests may go to `base` at all; names are looked up later.

    A target that is this application would only come back to us: `own_host` is where the caller
    reached us, and ALLOWED_HOSTS are all the names that we answer to.
    """
    known = options()
    if (base.host, base.port) in known.allowed_targets:
        if base.authority == own_host:
            raise InvalidTarget
    elif not _may_be_asked(base, known.own_names):
        raise InvalidTarget


@lru_cache(maxsize=2048)
def _may_be_asked(base: Base, own_names: tuple[str, ...]) -> bool:
    if base.scheme != "https" or base.port != 443:
        return False
    if validate_host(base.host, [name for name in own_names if name != "*"]):
        return False
    try:
        return is_public(ip_address(base.host))
    except ValueError:
        return True


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is one host on the public internet, whatever its spelling."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address.version == block.version and address in block for block in _ALSO_REFUSED):
        return False
    return address.version == 4 or address in _GLOBAL_IPV6


Addresses = list[tuple[Any, ...]]
"""Addresses as `socket.getaddrinfo` gives them."""


async def resolve_name(host: str, port: int) -> Addresses:
    """Return what the system knows of a name; a written address needs no lookup."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class Resolver:
    """Gives the addresses of a name that may be connected to, and remembers names for a minute."""

    def __init__(
        self,
        *,
        is_guarded: bool,
        look_up: Callable[[str, int], Awaitable[Addresses]] = resolve_name,
        memory_seconds: float = DNS_MEMORY_SECONDS,
    ) -> None:
        self._is_guarded = is_guarded
        self._look_up = look_up
        self._memory_seconds = memory_seconds
        self._known: TTLCache[tuple[str, int], Addresses] = TTLCache(MOST_NAMES)

    async def addresses(self, host: str, port: int) -> Addresses:
        """Return where a connection may be made to; raises UpstreamUnreachable or InvalidTarget."""
        entries = self._known.get((host, port))
        if entries is None:
            entries = await self._fresh(host, port)
        if not self._is_guarded or (host, port) in options().allowed_targets:
            return entries
        public = [entry for entry in entries if is_public(ip_address(entry[4][0].split("%")[0]))]
        if not public:
            raise InvalidTarget
        return public

    async def _fresh(self, host: str, port: int) -> Addresses:
        try:
            async with asyncio.timeout(DNS_SECONDS):
                entries = await self._look_up(host, port)
        except (OSError, TimeoutError):
            raise UpstreamUnreachable from None
        generation = self._known.generation
        self._known.put((host, port), entries, seconds=self._memory_seconds, generation=generation)
        return entries
