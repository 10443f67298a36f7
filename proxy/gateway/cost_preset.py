"""How a caller wants the cost of a request to be looked at."""

from __future__ import annotations

from proxy.accounting import price_table
from proxy.common.access import access_of
from proxy.common.web.asgi import Scope, header
from proxy.cost import policy
from proxy.errors import InvalidRequest
from proxy.filtering import cache_estimates
from proxy.filtering.cost_gate import CostGateConfig
from proxy.options import options
from proxy.upstream.endpoint import Provider
from proxy.wire.dialect import Dialect


async def cost_gate_for(scope: Scope, provider: Provider | None) -> CostGateConfig | None:
    """Return what looks at the cost of a request to that provider; None where nothing does.

    The preset comes from the header, else from the key, the user, the provider or the operator.
    """
    asked = _preset(scope)
    if provider is None:
        return None
    access = access_of(scope)
    preset = asked or access.cost or provider.cost or options().cost
    table = price_table.known() or await price_table.table()
    has_cache = table.has(provider.name) or cache_estimates.may_have_cache(provider.name)
    if preset == "off" or not has_cache:
        return None
    may_move = options().may_move
    return CostGateConfig(preset, provider.name, access.user.pk, provider.key, table, may_move)


async def cost_gate_like(scope: Scope, dialect: Dialect) -> CostGateConfig | None:
    """Return the gate for a preview that asks for one: that of the dialect's own provider.

    Nothing was sent, so the conversation has no past.
    """
    preset = _preset(scope)
    if preset in (None, "off"):
        return None
    user_id, table = access_of(scope).user.pk, await price_table.table()
    return CostGateConfig(preset, dialect.OWN_HOST, user_id, "", table, options().may_move)


def _preset(scope: Scope) -> str | None:
    preset = header(scope, b"x-alchemyst-cost")
    if preset is not None and preset not in policy.NAMES:
        raise InvalidRequest(
            f"X-Alchemyst-Cost must be one of {', '.join(policy.NAMES)}.", param="X-Alchemyst-Cost"
        )
    return preset
