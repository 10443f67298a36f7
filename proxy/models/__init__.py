"""What the proxy keeps: usage of each call, decisions where wanted, stored providers, prices."""

from __future__ import annotations

from proxy.models.budget import Budget, BudgetHold
from proxy.models.decision import DecisionRecord
from proxy.models.price import Price
from proxy.models.provider import Provider
from proxy.models.rollup import UsageRollup
from proxy.models.switch import FilterSwitch
from proxy.models.text_vector import TextVector
from proxy.models.usage import UsageRecord

__all__ = [
    "Budget",
    "BudgetHold",
    "DecisionRecord",
    "FilterSwitch",
    "Price",
    "Provider",
    "TextVector",
    "UsageRecord",
    "UsageRollup",
]
