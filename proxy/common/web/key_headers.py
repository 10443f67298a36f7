"""The headers in which clients show a key: a token of ours, a provider's key, or one of each.

Which of them is ours tells its form alone; whoever lets callers in decides whether it is sound.
"""

from __future__ import annotations

from typing import NamedTuple

from proxy.common import own_tokens
from proxy.common.web.asgi import SHOWN_KEYS, Scope, header, header_names

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


class _Keys(NamedTuple):
    """Ours, and those of providers."""

    own: list[ShownKey]
    providers: list[ShownKey]


def own_in(scope: Scope) -> list[ShownKey]:
    """Return what has the form of our tokens; raises InvalidRequest for a header given twice."""
    return _keys_in(scope).own


def providers_in(scope: Scope, preferred: str) -> ShownKey | None:
    """Return the provider's key, from the header `preferred` if it stands in several.

    Raises InvalidRequest for a header given twice.
    """
    theirs = _keys_in(scope).providers
    if not theirs:
        return None
    own_way = preferred.lower().encode()
    return min(theirs, key=lambda each: each.name != own_way)


def _keys_in(scope: Scope) -> _Keys:
    """Return the keys that a request shows, read once for all that ask for them."""
    keys: _Keys | None = scope.get(SHOWN_KEYS)
    if keys is not None:
        return keys
    keys = _Keys([], [])
    names = header_names(scope)
    for name in NAMES:
        if name in names and (key := _key_in(name, header(scope, name) or "")):
            is_own = own_tokens.contains_one(key)
            (keys.own if is_own else keys.providers).append(ShownKey(name, key))
    scope[SHOWN_KEYS] = keys
    return keys


def _key_in(name: bytes, value: str) -> str:
    """Return the key that a header's value is; empty for another scheme, and for several words."""
    if name == AUTHORIZATION:
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "bearer":
            return ""
    key = value.strip()
    return "" if " " in key else key
