"""What goes up to a provider, and what comes back down.

Never up: the caller's token, cookies and address, hop-by-hop headers, headers of ours, and those
that cloud metadata services ask for. Never down: hop-by-hop headers, cookies, and whatever would
let a provider speak for our own origin to a browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from multidict import CIMultiDict, MultiMapping

from proxy.errors import InvalidRequest

RawHeaders = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer "
    b"transfer-encoding upgrade".split()
)
_NEVER_UP = _HOP_BY_HOP | frozenset(
    b"accept-encoding authorization cf-connecting-ip client-ip content-length content-encoding "
    b"cookie expect fastly-client-ip fly-client-ip forwarded from host metadata metadata-flavor "
    b"origin referer true-client-ip via".split()
)
# Of the headers that start with x-, only what SDKs and providers are known to mean for providers;
# the rest is what proxies add about the caller, or ours.
_X_UP = (
    b"x-stainless-",
    b"x-client-request-id",
    b"x-title",
    b"x-openrouter-",
    b"x-session-",
    b"x-goog-api-client",
    b"x-goog-user-project",
    b"x-goog-request-params",
    b"x-server-timeout",
)
_NEVER_UP_PREFIXES = (b"x-", b"sec-", b"cf-")

_NEVER_DOWN = _HOP_BY_HOP | frozenset(
    b"alt-svc clear-site-data content-encoding content-security-policy "
    b"content-security-policy-report-only date location link nel public-key-pins refresh report-to "
    b"reporting-endpoints server server-timing service-worker-allowed set-cookie set-cookie2 "
    b"sourcemap strict-transport-security via www-authenticate x-accel-buffering "
    b"x-accel-redirect x-powered-by x-sendfile".split()
)
_NEVER_DOWN_PREFIXES = (b"access-control-", b"x-alchemyst-", b"cross-origin-")

# On every relayed answer: no proxy in front may hold it back, no browser may run it.
_ALWAYS_DOWN: RawHeaders = [
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


def header(scope: MutableMapping[str, Any], name: bytes) -> str | None:
    """Return a request header's value; a header given twice is one that we don't trust."""
    found = None
    for key, value in scope["headers"]:
        if key == name:
            if found is not None:
                raise InvalidRequest(f"The header {name.decode()} was given more than once.")
            found = value
    return None if found is None else found.decode("latin-1").strip()


def upward(received: Iterable[tuple[bytes, bytes]], passing: frozenset[bytes]) -> CIMultiDict[str]:
    """Return what a provider gets of the caller's headers; `passing` are the operator's extras."""
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in received:
        if name in _NEVER_UP:
            continue
        if (
            name.startswith(_NEVER_UP_PREFIXES)
            and not name.startswith(_X_UP)
            and name not in passing
        ):
            continue
        sent.add(name.decode("latin-1"), _text(value))
    # One encoding that needs no decoder: what arrives is what is passed on.
    sent["Accept-Encoding"] = "identity"
    if "Content-Type" not in sent:
        sent["Content-Type"] = "application/json"
    return sent


def _text(value: bytes) -> str:
    """Return what the HTTP client, which writes UTF-8, writes as the bytes that came."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def downward(raw: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return what of a provider's raw headers the caller gets, names in lower case."""
    kept = []
    for original, value in raw:
        name = original.lower()
        if name not in _NEVER_DOWN and not name.startswith(_NEVER_DOWN_PREFIXES):
            kept.append((name, value))
    return kept + _ALWAYS_DOWN


def has_encoding(headers: MultiMapping[str]) -> bool:
    """Whether a provider encoded its answer, although asked not to."""
    said = headers.getall("Content-Encoding", ())
    return any(value.lower() not in ("", "identity") for value in said)


def key_in(sent: Mapping[str, str]) -> bytes:
    """Return the provider's key that stands in the headers of a request; empty without one."""
    key = sent.get("X-Goog-Api-Key") or sent.get("Authorization", "").removeprefix("Bearer ")
    return key.encode()
