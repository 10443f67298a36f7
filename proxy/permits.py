"""What an API key's own lists permit: None permits everything, an empty list nothing.

A model is named whole, or by the beginning of its name followed by `*`. A host is named whole, with
or without a port, or as one of all under a name: `*.example.com`. The beginning of a host's name
says nothing of whose it is (`api.example*` would fit api.example.evil.test), so an entry that is
neither permits nothing.
"""

from __future__ import annotations

import re

from proxy.errors import ModelNotAllowed, TargetNotAllowed
from proxy.target import Base

Permitted = tuple[str, ...] | None

BUILTIN_HOST = "default"

_LABEL = r"[a-z0-9_-]{1,63}"
# Addresses have nothing under them: the last label after `*.` has a letter.
HOST_PATTERN = (
    rf"\*(?:\.{_LABEL})*\.(?=[^.]*[a-z]){_LABEL}"
    rf"|(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::[0-9]{{1,5}})?"
)
_host_entry = re.compile(HOST_PATTERN)


def check_model(model: str, permitted: Permitted) -> None:
    """Raise ModelNotAllowed unless the list names `model`."""
    if not may_use(model, permitted):
        raise ModelNotAllowed(param="model")


def may_use(model: str, permitted: Permitted) -> bool:
    """Whether the list names `model`."""
    return permitted is None or any(
        model.startswith(entry[:-1]) if entry.endswith("*") else model == entry
        for entry in permitted
    )


def check_host(base: Base, permitted: Permitted) -> None:
    """Raise TargetNotAllowed unless the list names the host of `base`."""
    if permitted is None:
        return
    host = f"[{base.host}]" if ":" in base.host else base.host
    names = (host, f"{host}:{base.port}")
    if not any(_fits(entry, names) for entry in permitted):
        raise TargetNotAllowed


def check_builtin(permitted: Permitted) -> None:
    """Raise TargetNotAllowed unless the list of hosts names the built-in model."""
    if permitted is not None and BUILTIN_HOST not in permitted:
        raise TargetNotAllowed


def _fits(entry: str, names: tuple[str, str]) -> bool:
    if not _host_entry.fullmatch(entry):
        return False
    return names[0].endswith(entry[1:]) if entry.startswith("*.") else entry in names
