"""What the proxy keeps: usage of each call, and the providers that people have stored."""

from __future__ import annotations

from proxy.models.provider import Provider
from proxy.models.usage import UsageRecord

__all__ = ["Provider", "UsageRecord"]
