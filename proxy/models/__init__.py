"""What the proxy keeps: usage of each call, decisions where wanted, the providers stored."""

from __future__ import annotations

from proxy.models.decision import DecisionRecord
from proxy.models.provider import Provider
from proxy.models.usage import UsageRecord

__all__ = ["DecisionRecord", "Provider", "UsageRecord"]
