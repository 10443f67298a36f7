"""What an API key's own lists permit: None permits everything, an empty list nothing.

An entry is a whole name, or the beginning of one followed by `*`.
"""

from __future__ import annotations

from proxy.errors import ModelNotAllowed, TargetNotAllowed

Permitted = tuple[str, ...] | None


def check_model(model: str, permitted: Permitted) -> None:
    """Raise ModelNotAllowed unless the list names `model`."""
    if permitted is not None and not _names(permitted, model):
        raise ModelNotAllowed(param="model")


def check_host(host: str, permitted: Permitted) -> None:
    """Raise TargetNotAllowed unless the list names `host`; the built-in model's is `default`."""
    if permitted is not None and not _names(permitted, host):
        raise TargetNotAllowed


def _names(entries: tuple[str, ...], name: str) -> bool:
    return any(
        name.startswith(entry[:-1]) if entry.endswith("*") else name == entry for entry in entries
    )
