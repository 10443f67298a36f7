"""A provider as requests reach it: where, with what key, and by which connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.upstream import builtin, pool, ssrf_guard, target
from proxy.upstream.transport import Transport
from proxy.wire.translation import Translation

DEFAULT = "default"
"""What the built-in model is called where other providers have a host."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a call goes, with what key, and by which connections."""

    pool: Transport
    name: str
    key: str = field(repr=False)
    base: target.Base
    model: str | None = None
    """The name that the provider knows the model by, where it differs from the caller's."""

    cost: str = ""
    """How the cost of requests to it is looked at, where that is set for it."""

    translation: Translation | None = None
    """Between its callers and it, where it speaks chat completions and they another dialect."""


def permitted_provider(base: target.Base, key: str, *, own_host: str = "") -> Provider:
    """Return the provider at `base`; raises InvalidTarget where no request may go."""
    target.refuse_own_tokens(key, base.path)
    ssrf_guard.check(base, own_host)
    return Provider(pool.guarded_pool(), base.authority, key, base)


async def builtin_provider() -> Provider:
    """Return the built-in model's server, started if need be; raises ModelUnavailable."""
    own = await builtin.endpoint()
    base = target.base_of(own.base_url)
    return Provider(pool.trusted_pool(), DEFAULT, own.api_key, base, own.model)
