"""What goes up to a provider, and what comes back down.

Never up: the caller's token, cookies and address, hop-by-hop headers, headers of ours, and those
that cloud metadata services ask for. Never down: hop-by-hop headers, cookies, and whatever would
let a provider speak for our own origin to a browser.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.errors import UpstreamUnreachable
from proxy.upstream.transport import RawHeaders

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
# Harmless: the connection has decoded the chunks.
_ENCODINGS = {
    b"content-encoding": (b"", b"identity"),
    b"transfer-encoding": (b"chunked",),
}

# On every relayed answer: no proxy in front may hold it back, no browser may run it.
_ALWAYS_DOWN: RawHeaders = [
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


def request_headers(received: RawHeaders, passing: frozenset[bytes]) -> RawHeaders:
    """Return what a provider gets of the caller's headers; `passing` are the operator's extras."""
    # One encoding that needs no decoder: what arrives is what is passed on.
    sent = [(b"accept-encoding", b"identity")]
    has_type = False
    for each in received:
        name = each[0]
        if name in _NEVER_UP:
            continue
        if (
            name.startswith(_NEVER_UP_PREFIXES)
            and not name.startswith(_X_UP)
            and name not in passing
        ):
            continue
        if name == b"content-type":
            has_type = True
        sent.append(each)
    if not has_type:
        sent.append((b"content-type", b"application/json"))
    return sent


def response_headers(received: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return what of a provider's headers, their names in lower case, the caller gets.

    Raises UpstreamUnreachable where they say that the answer is encoded: none is accepted.
    """
    kept = []
    for header in received:
        name = header[0]
        if name in _NEVER_DOWN:
            if name in _ENCODINGS and header[1].lower() not in _ENCODINGS[name]:
                raise UpstreamUnreachable("The provider sent an encoding that was not asked for.")
        elif not name.startswith(_NEVER_DOWN_PREFIXES):
            kept.append(header)
    return kept + _ALWAYS_DOWN
