"""The one spelling of a host, however a person, a client or a setting wrote it."""

from __future__ import annotations

import ipaddress
import re

import idna

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMERIC = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)")


class InvalidHostName(ValueError):
    """It is no address, and no name could be so."""


def canonical_host(text: str) -> str:
    """Return a host in its one canonical spelling: lower-case ASCII, an address as such.

    Raises ValueError for what is neither, and for the odd spellings of addresses (2130706433,
    0x7f.1, 127.1, 0177.0.0.1), which resolvers would read as addresses all the same.
    """
    if text.startswith("["):
        return str(ipaddress.IPv6Address(text[1:-1]))
    host = text.lower().removesuffix(".")
    if not host.isascii():
        host = idna.encode(host, uts46=True).decode()
    if _NUMERIC.fullmatch(host):
        return str(ipaddress.IPv4Address(host))
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise InvalidHostName
    return host
