"""The limits as DRF asks for them, and the one on failed sign-ins.

The limits themselves are in `limits`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from alchemyst.accounts.limits import rate

# These classes stand in settings, which DRF reads while it imports its views.
if TYPE_CHECKING:
    from rest_framework.views import APIView

# One address may be an office: it may fail as often as so many people.
PEOPLE_BEHIND_AN_ADDRESS = 5


class UserThrottle(BaseThrottle):
    """Counts a user's requests, or a stranger's by address."""

    _wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.user:
            self._wait = rate.check("api", str(request.user.pk))
        else:
            self._wait = rate.check("anonymous", address_of(request))
        return not self._wait

    def wait(self) -> float:
        return self._wait


@contextmanager
def sign_in(request: HttpRequest | Request, username: str) -> Iterator[None]:
    """Count what happens inside as a failed sign-in, unless it ends without an exception.

    Counted first and taken back on success, so that many attempts at once can't slip through.
    Raises Throttled where this address has failed too often, with this name or with any.
    """
    address = address_of(request)
    attempt = f"{address} {username.lower()}"
    wait = rate.check("login", address, times=PEOPLE_BEHIND_AN_ADDRESS)
    if wait := wait or rate.check("login", attempt):
        raise Throttled(wait)
    yield
    rate.undo("login", attempt)
    rate.undo("login", address)


def address_of(request: HttpRequest | Request) -> str:
    """Return the client's address, as the operator's own proxies report it.

    Each proxy appends the address it was called from, so what stands left of theirs is the
    client's invention. Who has one IPv6 address has 2^64 of them, so those count as one.
    """
    address: str = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        reported = forwarded[-settings.TRUSTED_PROXIES :][0].strip()
        address = reported or address
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        network = ipaddress.IPv6Network((int(parsed), 64), strict=False)
        return str(parsed.ipv4_mapped or network.network_address)
    return str(parsed)
