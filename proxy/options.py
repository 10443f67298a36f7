"""The operator's settings for the proxy's path, read once: each costs a request more than it looks.

Django tells when a setting changes, as tests do, and they are read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from proxy.common.hosts import canonical_host

Allowed = frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a provider may take, in seconds, and how much it may send, in bytes."""

    first_byte: float
    idle: float
    total: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Options:
    """What `docs/configuration.md` tells of each, in the shape in which it is needed."""

    relevance: str
    cost: str
    may_move: bool
    filter_seconds: float
    short_tokens: int
    encoder_seconds: float
    allowed_targets: Allowed
    own_names: tuple[str, ...]
    pass_headers: frozenset[bytes]
    connect_timeout: float
    bounds: Bounds
    transfer_bounds: Bounds
    """For what passes as it came, which may be large files."""
    max_upload: int
    admin_paths: bool
    max_concurrent: int
    max_body: int
    max_messages: int
    memory_seconds: float
    c1_base_url: str


@cache
def options() -> Options:
    """Return the settings as they are now."""
    return Options(
        relevance=settings.PROXY_RELEVANCE,
        cost=settings.PROXY_COST,
        may_move=settings.PROXY_COST_MOVES,
        filter_seconds=settings.PROXY_FILTER_SECONDS,
        short_tokens=settings.PROXY_SHORT_TOKENS,
        encoder_seconds=settings.PROXY_ENCODER_SECONDS,
        allowed_targets=allowed_targets(settings.PROXY_ALLOWED_TARGETS),
        own_names=tuple(settings.ALLOWED_HOSTS),
        pass_headers=frozenset(name.lower().encode() for name in settings.PROXY_PASS_HEADERS),
        connect_timeout=settings.PROXY_CONNECT_TIMEOUT,
        bounds=Bounds(
            first_byte=settings.PROXY_FIRST_BYTE_TIMEOUT,
            idle=settings.PROXY_IDLE_TIMEOUT,
            total=settings.PROXY_TOTAL_TIMEOUT,
            most_bytes=settings.PROXY_MAX_RESPONSE,
        ),
        transfer_bounds=Bounds(
            first_byte=settings.PROXY_FIRST_BYTE_TIMEOUT,
            idle=settings.PROXY_IDLE_TIMEOUT,
            total=settings.PROXY_TRANSFER_TIMEOUT,
            most_bytes=settings.PROXY_MAX_DOWNLOAD,
        ),
        max_upload=settings.PROXY_MAX_UPLOAD,
        admin_paths=settings.PROXY_ADMIN_PATHS,
        max_concurrent=settings.PROXY_MAX_CONCURRENT,
        max_body=settings.PROXY_MAX_BODY,
        max_messages=settings.PROXY_MAX_MESSAGES,
        memory_seconds=settings.AUTH_MEMORY_SECONDS,
        c1_base_url=settings.C1_BASE_URL,
    )


def on_setting_changed(**kwargs: Any) -> None:
    """Read the settings again."""
    options.cache_clear()


def allowed_targets(words: Iterable[str]) -> Allowed:
    """Return the operator's list as (host, port) pairs; raises ImproperlyConfigured."""
    pairs = set()
    for word in words:
        host, colon, port = word.rpartition(":")
        try:
            if not colon or not 0 < int(port) < 65536:
                raise ValueError
            pairs.add((canonical_host(host), int(port)))
        except ValueError:
            raise ImproperlyConfigured(
                f"ALCHEMYST_PROXY_ALLOWED_TARGETS has {word!r}; use host:port."
            ) from None
    return frozenset(pairs)
