"""What a caller's headers ask of the proxy itself, read once for each request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from proxy.common.access import access_of
from proxy.common.web.asgi import Scope, header
from proxy.cost import policy
from proxy.errors import InvalidRequest
from proxy.options import options
from proxy.relevance import modes

# In place of a mode: what the mode chosen otherwise would do is told, and the original forwarded.
SHADOW = "shadow"
_MODES = (*modes.NAMES, SHADOW)


class RequestOptions(NamedTuple):
    """How a request is to be forwarded; all but the first only where it is filtered.

    A tuple: one is made for each request, and a frozen dataclass would take three times as long.
    """

    upstream_key: str | None
    """The provider's key, where the header that is there for it alone has it."""

    mode: str = ""
    """From the header, else from the key or the user, else from the operator."""

    is_shadow: bool = False
    cost: str = ""
    """The cost preset that the header names; empty where there is none."""

    pinned: str = ""
    """Places, as the caller's header names them."""

    excluded: str = ""

    def __repr__(self) -> str:
        """Tell all but the key, which belongs into no log."""
        return f"RequestOptions(mode={self.mode!r}, is_shadow={self.is_shadow}, cost={self.cost!r})"


def parse(scope: Scope, *, is_filtered: bool) -> RequestOptions:
    """Return what a caller's headers ask for; raises InvalidRequest."""
    upstream_key = header(scope, b"x-upstream-api-key")
    if not is_filtered:
        return RequestOptions(upstream_key)
    mode = _choice(scope, b"x-alchemyst-relevance", _MODES)
    is_shadow = mode == SHADOW
    if mode is None or is_shadow:
        mode = access_of(scope).relevance or options().relevance
    return RequestOptions(
        upstream_key,
        mode,
        is_shadow,
        _choice(scope, b"x-alchemyst-cost", policy.NAMES) or "",
        header(scope, b"x-alchemyst-pin") or "",
        header(scope, b"x-alchemyst-exclude") or "",
    )


def _choice(scope: Scope, name: bytes, choices: Iterable[str]) -> str | None:
    """Return a header's value, which must be one of these; None where it is missing."""
    value = header(scope, name)
    if value is not None and value not in choices:
        shown_name = name.decode().title()
        raise InvalidRequest(f"{shown_name} must be one of {', '.join(choices)}.", param=shown_name)
    return value
