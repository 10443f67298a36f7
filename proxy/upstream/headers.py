"""What goes up to a provider, and what comes back down.

Never up: tokens of ours, in whatever header, the headers that keys are shown in, since the one that
the provider gets is added afterwards, the caller's cookies and address, hop-by-hop headers, headers
of ours, those that cloud metadata services ask for, and names that some server in between reads as
others. Never down: hop-by-hop headers, cookies, and whatever would let a provider speak
for our own origin to a browser. An answer is its caller's own, so nobody may store it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from proxy.common import own_tokens
from proxy.common.web import content_encoding, key_headers
from proxy.common.web.asgi import PRIVATE
from proxy.errors import UpstreamUnreachable
from proxy.upstream.transport import RawHeaders

_HOP_BY_HOP = frozenset(
    b"connection http2-settings keep-alive te trailer transfer-encoding upgrade".split()
)
_HOP_BY_HOP_PREFIXES = (b"proxy-",)
# Servers that follow CGI read an underscore as a hyphen: Content_Length would be a second length.
_NAME = re.compile(rb"[a-z0-9-]+")

# The body may change on its way, so what vouches for it goes no further.
_NEVER_UP = frozenset(
    b"accept-encoding cdn-loop cf-connecting-ip client-ip content-digest "
    b"content-encoding content-length content-md5 cookie digest early-data expect forwarded from "
    b"host max-forwards metadata metadata-flavor origin referer repr-digest signature "
    b"signature-input true-client-ip via x-upstream-api-key".split()
).union(key_headers.NAMES)
_OF_THE_BODY = frozenset(b"content-digest content-encoding content-md5 digest repr-digest".split())
# Of the headers that start with x-, only what SDKs and providers are known to mean for providers;
# the rest is what proxies add about the caller, or ours.
_X_UP = (
    b"x-stainless-",
    b"x-app",
    b"x-claude-code-",
    b"x-client-request-id",
    b"x-codex-",
    b"x-title",
    b"x-openrouter-",
    b"x-session-",
    b"x-goog-api-client",
    b"x-goog-upload-",
    b"x-goog-user-project",
    b"x-goog-request-params",
    b"x-server-timeout",
)
_NEVER_UP_PREFIXES = (b"x-", b"sec-", b"cf-", b"fastly-", b"fly-", b"cloudfront-", b"akamai-")

_NEVER_DOWN = frozenset(
    b"accept-ch age alt-svc cache-control clear-site-data content-encoding "
    b"content-security-policy content-security-policy-report-only critical-ch date "
    b"document-policy expect-ct expires feature-policy integrity-policy "
    b"integrity-policy-report-only link location nel no-vary-search origin-agent-cluster "
    b"origin-trial permissions-policy permissions-policy-report-only pragma public-key-pins "
    b"referrer-policy refresh report-to reporting-endpoints server server-timing "
    b"service-worker-allowed set-cookie set-cookie2 set-login sourcemap speculation-rules "
    b"strict-transport-security supports-loading-mode timing-allow-origin use-as-dictionary via "
    b"www-authenticate x-accel-buffering x-accel-redirect x-content-type-options "
    b"x-dns-prefetch-control x-download-options x-frame-options x-permitted-cross-domain-policies "
    b"x-powered-by x-robots-tag x-sendfile x-xss-protection".split()
)
_NEVER_DOWN_PREFIXES = (
    b"access-control-",
    b"attribution-reporting-",
    b"cross-origin-",
    b"surrogate-",
    b"x-accel-",
    b"x-alchemyst-",
)
# Such as CDN-Cache-Control, which speaks to the caches of one vendor.
_NEVER_DOWN_SUFFIXES = (b"-cache-control",)
# Harmless: the connection has decoded the chunks.
_ENCODINGS = {
    b"content-encoding": (b"", b"identity"),
    b"transfer-encoding": (b"chunked",),
}

# On every relayed answer: no proxy in front may hold it back, nobody may store it, no browser may
# run it.
_ALWAYS_DOWN: RawHeaders = [
    (b"cache-control", PRIVATE.encode()),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
# What Python's and Node's own clients take of an answer, with ours beside: 100 fields, 16 KiB.
MOST_FIELDS = 80
MOST_BYTES = 12 * 1024


def request_headers(
    received: RawHeaders, passing: frozenset[bytes], *, is_verbatim: bool
) -> RawHeaders:
    """Return what a provider gets of the caller's headers; `passing` are the operator's extras.

    Where the body goes up verbatim, so does what vouches for it, and no type is made up for it.
    """
    if is_verbatim:
        passing = passing | _OF_THE_BODY
    # One encoding that needs no decoder: what arrives is what is passed on.
    sent = [(b"accept-encoding", b"identity")]
    nominated = _nominated(received)
    has_type = False
    for name, value in received:
        if not _goes_up(name, passing) or name in nominated:
            continue
        if own_tokens.contains_one(value.decode("latin-1")):
            continue
        if name == b"content-type":
            has_type = True
        sent.append((name, value))
    if not has_type and not is_verbatim:
        sent.append((b"content-type", b"application/json"))
    return sent


def encoding_in(received: RawHeaders) -> str:
    """Return the encoding of an answer, if it can be decoded; `response_headers` refuses others."""
    values = [value.decode("latin-1") for name, value in received if name == b"content-encoding"]
    try:
        return content_encoding.encoding_in(values) if values else ""
    except content_encoding.UnknownEncoding:
        return ""


def response_headers(received: RawHeaders) -> RawHeaders:
    """Return what of a provider's headers, their names in lower case, the caller gets.

    Raises UpstreamUnreachable where they say that the answer is encoded, as none is accepted, and
    where they are more than clients take.
    """
    nominated = _nominated(received)
    kept = []
    for name, value in received:
        if _comes_down(name):
            if name not in nominated:
                kept.append((name, value))
        elif name in _ENCODINGS and value.lower() not in _ENCODINGS[name]:
            raise UpstreamUnreachable("The provider sent an encoding that was not asked for.")
    size = sum(map(len, chain.from_iterable(kept)))
    if len(kept) > MOST_FIELDS or size > MOST_BYTES:
        raise UpstreamUnreachable("The provider's answer has more headers than allowed.")
    return kept + _ALWAYS_DOWN


@lru_cache(maxsize=1024)
def _goes_up(name: bytes, passing: frozenset[bytes]) -> bool:
    if not _is_end_to_end(name):
        return False
    if name in _NEVER_UP:
        return name in _OF_THE_BODY and name in passing
    return not name.startswith(_NEVER_UP_PREFIXES) or name.startswith(_X_UP) or name in passing


@lru_cache(maxsize=1024)
def _comes_down(name: bytes) -> bool:
    if not _is_end_to_end(name) or name in _NEVER_DOWN:
        return False
    return not name.startswith(_NEVER_DOWN_PREFIXES) and not name.endswith(_NEVER_DOWN_SUFFIXES)


def _is_end_to_end(name: bytes) -> bool:
    if name in _HOP_BY_HOP or name.startswith(_HOP_BY_HOP_PREFIXES):
        return False
    return _NAME.fullmatch(name) is not None


def _nominated(received: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Return the names that headers Connection list: they are meant for this hop alone."""
    values = [value for name, value in received if name == b"connection"]
    names = b",".join(values).lower().split(b",") if values else []
    return frozenset(name.strip() for name in names)
