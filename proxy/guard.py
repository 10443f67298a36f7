"""May we connect there? Decided on the address that is then connected to.

A target is a stranger's URL. Public hosts may be reached by https on port 443; everything else
only where the operator lists that host and port. Names are resolved once, by the resolver below,
inside the one HTTP client that providers are reached with: what it returns is what is connected
to, so a name that changes its address between a check and a connection gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host

from proxy.errors import InvalidTarget, UpstreamUnreachable
from proxy.target import Base, host_of

Allowed = frozenset[tuple[str, int]]

DNS_SECONDS = 5

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


def allowed_targets(words: Iterable[str]) -> Allowed:
    """Return the operator's list as (host, port) pairs; raises ImproperlyConfigured."""
    pairs = set()
    for word in words:
        host, colon, port = word.rpartition(":")
        try:
            if not colon or not 0 < int(port) < 65536:
                raise ValueError
            pairs.add((host_of(host), int(port)))
        except (ValueError, InvalidTarget):
            raise ImproperlyConfigured(
                f"ALCHEMYST_PROXY_ALLOWED_TARGETS has {word!r}; use host:port."
            ) from None
    return frozenset(pairs)


def check(base: Base, allowed: Allowed, own_host: str) -> None:
    """Raise InvalidTarget unless `base` may be asked at all; names are looked up later.

    A target that is this application would only come back to us: `own_host` is where the caller
    reached us, and ALLOWED_HOSTS are all the names that we answer to.
    """
    if (base.host, base.port) in allowed:
        if base.authority == own_host:
            raise InvalidTarget
    elif not _may_be_asked(base, tuple(settings.ALLOWED_HOSTS)):
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


class GuardedResolver(AbstractResolver):
    """Resolves names for the HTTP client and gives it only addresses that may be connected to."""

    def __init__(self, allowed: Allowed, resolver: AbstractResolver | None = None) -> None:
        self.allowed = allowed
        self.resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(DNS_SECONDS):
                found = await self.resolver.resolve(host, port, family)
        except (OSError, TimeoutError):
            raise UpstreamUnreachable from None
        if (host, port) in self.allowed:
            return found
        public = [entry for entry in found if is_public(ip_address(entry["host"].split("%")[0]))]
        if not public:
            raise InvalidTarget
        return public

    async def close(self) -> None:
        await self.resolver.close()
