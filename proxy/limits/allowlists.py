"""What an API key's own lists allow: None allows everything, an empty list nothing.

A model is named whole, or by the beginning of its name followed by `*`; a host as
`proxy.common.host_patterns` says.
"""

from __future__ import annotations

from proxy.common.host_patterns import covers
from proxy.errors import ModelNotAllowed, TargetNotAllowed
from proxy.upstream.target import Base

AllowList = tuple[str, ...] | None

BUILTIN_HOST = "default"


def check_model(model: str, permitted: AllowList) -> None:
    """Raise ModelNotAllowed unless the list names `model`."""
    if not may_use(model, permitted):
        raise ModelNotAllowed(param="model")


def may_use(model: str, permitted: AllowList) -> bool:
    """Whether the list names `model`."""
    return permitted is None or any(
        model.startswith(entry[:-1]) if entry.endswith("*") else model == entry
        for entry in permitted
    )


def check_host(base: Base, permitted: AllowList) -> None:
    """Raise TargetNotAllowed unless the list names the host of `base`."""
    if permitted is None:
        return
    host = f"[{base.host}]" if ":" in base.host else base.host
    if not any(covers(entry, f"{host}:{base.port}") for entry in permitted):
        raise TargetNotAllowed


def check_builtin(permitted: AllowList) -> None:
    """Raise TargetNotAllowed unless the list of hosts names the built-in model."""
    if permitted is not None and BUILTIN_HOST not in permitted:
        raise TargetNotAllowed
