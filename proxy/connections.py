"""The HTTP clients that providers are reached with: one guarded, one for the operator's own model.

One of each lives as long as its event loop; connections are shared by all callers, cookies are
kept for none.
"""

from __future__ import annotations

import asyncio

import aiohttp
from django.conf import settings

from proxy.guard import GuardedResolver, allowed_targets

# Below the idle time after which common servers hang up, so that a kept connection is alive.
KEEP_ALIVE_SECONDS = 15
DNS_MEMORY_SECONDS = 60

_clients: dict[tuple[asyncio.AbstractEventLoop, bool], aiohttp.ClientSession] = {}


def guarded() -> aiohttp.ClientSession:
    """Return the client for targets that callers name: it connects to what the guard permits."""
    return _client(is_guarded=True)


def trusted() -> aiohttp.ClientSession:
    """Return the client for the address that the operator configured, or that we listen on."""
    return _client(is_guarded=False)


async def close() -> None:
    """Close this loop's clients."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _clients if key[0] is loop]:
        await _clients.pop(key).close()


def _client(*, is_guarded: bool) -> aiohttp.ClientSession:
    key = (asyncio.get_running_loop(), is_guarded)
    client = _clients.get(key)
    if client is None or client.closed:
        client = _clients[key] = _made(is_guarded)
    return client


def _made(is_guarded: bool) -> aiohttp.ClientSession:
    resolver = (
        GuardedResolver(allowed_targets(settings.PROXY_ALLOWED_TARGETS)) if is_guarded else None
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ttl_dns_cache=DNS_MEMORY_SECONDS,
            resolver=resolver,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=settings.PROXY_CONNECT_TIMEOUT, sock_read=None
        ),
    )
