"""Whether the cost of a request is looked at, and by whose choice."""

from __future__ import annotations

from proxy.accounting import price_table
from proxy.filtering import cache_estimates
from proxy.filtering.cost_gate import CostGateConfig
from proxy.options import options


async def build_gate_config(
    user_id: int, host: str, key: str, *presets: str
) -> CostGateConfig | None:
    """Return what looks at the cost of a request to a provider; None where nothing does.

    The first of `presets` that is set counts: they are what the caller asks for, then the
    provider. Where none is, the operator's does.
    """
    preset = next(filter(None, presets), options().cost)
    if preset == "off":
        return None
    table = price_table.known() or await price_table.table()
    if not table.has(host) and not cache_estimates.may_have_cache(host):
        return None
    return CostGateConfig(preset, host, user_id, key, table, options().may_move)


async def build_preview_gate_config(user_id: int, host: str, preset: str) -> CostGateConfig | None:
    """Return the gate for a preview that asks for one, at a provider that was sent nothing yet."""
    if preset in ("", "off"):
        return None
    return CostGateConfig(preset, host, user_id, "", await price_table.table(), options().may_move)
