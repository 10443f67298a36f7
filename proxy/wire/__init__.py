"""The formats that callers speak, one module for each, and which path speaks which."""

from __future__ import annotations

from types import ModuleType

from proxy.wire import openai

PREFIX = "/api/v1/proxy/"


def for_path(path: str) -> ModuleType | None:
    """Return the dialect that the callers of `path` speak; None off the proxy."""
    return openai if path.startswith(PREFIX) else None
