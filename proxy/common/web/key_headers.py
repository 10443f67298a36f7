"""The headers in which clients show a key: a token of ours, a provider's key, or one of each.

Which of them is ours tells its form alone; whoever lets callers in decides whether it is sound.
"""

from __future__ import annotations

from typing import NamedTuple

from proxy.common import own_tokens
from proxy.common.web.asgi import Scope, header, header_names

AUTHORIZATION = b"authorization"
AZURE = b"api-key"
NAMES = (AUTHORIZATION, b"x-api-key", AZURE, b"x-goog-api-key")


class ShownKey(NamedTuple):
    """A key, and the header that it came in."""

    name: bytes
    key: str

    def __repr__(self) -> str:
        """Tell where the key stood, and nothing of it."""
        return f"ShownKey({self.name.decode()})"


def own_in(scope: Scope) -> list[ShownKey]:
    """Return what has the form of our tokens; raises InvalidRequest for a header given twice."""
    return [shown for shown in _keys_in(scope) if own_tokens.contains_one(shown.key)]


def providers_in(scope: Scope, preferred: str) -> ShownKey | None:
    """Return the provider's key, from the header `preferred` if it stands in several.

    Raises InvalidRequest for a header given twice.
    """
    theirs = [shown for shown in _keys_in(scope) if not own_tokens.contains_one(shown.key)]
    own_way = preferred.lower().encode()
    return min(theirs, key=lambda shown: shown.name != own_way, default=None)


def _keys_in(scope: Scope) -> list[ShownKey]:
    given = header_names(scope)
    keys = [(name, _key_in(name, header(scope, name) or "")) for name in NAMES if name in given]
    return [ShownKey(name, key) for name, key in keys if key]


def _key_in(name: bytes, value: str) -> str:
    """Return the key that a header's value is; empty for another scheme, and for several words."""
    if name == AUTHORIZATION:
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "bearer":
            return ""
    key = value.strip()
    return "" if " " in key else key
