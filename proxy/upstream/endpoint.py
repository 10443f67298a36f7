"""A provider as requests reach it: where, with what key, and by which connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.common.web.key_headers import AZURE
from proxy.upstream import builtin, pool, ssrf_guard, target
from proxy.upstream.transport import Transport
from proxy.wire.translation import Translation

DEFAULT = "default"
"""What the built-in model is called where other providers have a host."""

AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com")
# How a token of Microsoft Entra begins, which Azure takes in Authorization alone.
_JWT = "eyJ"


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

    key_header: str = ""
    """The header that its key is shown in, where that is not its dialect's."""
    translation: Translation | None = None
    """Between its callers and it, where it speaks chat completions and they another dialect."""


def permitted_provider(
    base: target.Base, key: str, *, own_host: str = "", key_header: str = ""
) -> Provider:
    """Return the provider at `base`; raises InvalidTarget where no request may go.

    Its key is shown in `key_header`; without one, in the header of its host or else its dialect.
    """
    target.refuse_own_tokens(key, base.path)
    ssrf_guard.check(base, own_host)
    if not key_header and base.host.endswith(AZURE_HOSTS) and not key.startswith(_JWT):
        key_header = AZURE.decode()
    return Provider(pool.guarded_pool(), base.authority, key, base, key_header=key_header)


async def builtin_provider() -> Provider:
    """Return the built-in model's server, started if need be; raises ModelUnavailable."""
    own = await builtin.endpoint()
    base = target.base_of(own.base_url)
    return Provider(pool.trusted_pool(), DEFAULT, own.api_key, base, own.model)
