"""A path -> an address and a provider key.

Whatever stands between `/api/v1/proxy/` and the endpoint is the target: a provider's base URL and,
unless a header carries it, the provider's key as the last segment. The path is split while it is
still percent-encoded, since a key may hold an encoded slash. Clients and reverse proxies turn the
URL into several spellings; all of them are read here, by one parser, and the URL that goes out is
rebuilt from the parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_plus

from proxy.common import own_tokens
from proxy.common.hosts import InvalidHostName, canonical_host
from proxy.common.percent import fully_unquoted
from proxy.errors import InvalidTarget

_URL = re.compile(
    r"""
    (?:(?P<scheme>https?):/+)?
    (?P<host>\[[0-9a-f:.]+\]|[^/:@%\\?\#\[\]\s]+)
    (?::(?P<port>[0-9]{1,5}))?
    (?P<path>/.*)?
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# Where a key may stand, but a URL without one ends.
_HOST = re.compile(r"[.:]")
# Ends most base URLs, and is no key.
VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta)[0-9]*)?", re.IGNORECASE)
# Of a base URL with a version, to which a client has appended one by itself.
_DOUBLED = re.compile(rf"(/{VERSION.pattern})\1/*$", re.IGNORECASE)
_VERSION_AFTER_KEY = re.compile(
    rf"(?P<target>.+/{VERSION.pattern}/(?:sk-[^/]+|[^/]{{20,}}))/{VERSION.pattern}", re.IGNORECASE
)
# Where a base URL meets an endpoint that brings its version along.
_SEAM = re.compile(rf"(?P<version>/{VERSION.pattern})(?P=version)(?=/|\?|$)", re.IGNORECASE)
_KEY_NAME = re.compile(r".*(?:key|token|secret|password)|sig", re.IGNORECASE)
# The version at the end of a base URL; at Google's, what speaks OpenAI's dialect lies below one.
_LAST_VERSION = re.compile(rf"/(?:v1beta/openai|{VERSION.pattern})$", re.IGNORECASE)
_FIRST_VERSION = re.compile(rf"/{VERSION.pattern}(?=/)", re.IGNORECASE)
# Where a host speaks OpenAI's dialects that is stored for another, whose endpoints bring their own
# version.
_OPENAI_PATHS = {"anthropic": "/v1", "gemini": "/v1beta/openai"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
PATH_SAFE = "/:@!$&'()*+,;=~"
KEY_IS_MISSING = (
    "The provider's key is missing: send it in the header X-Upstream-Api-Key. "
    "A server that asks for none takes any."
)


class Origin(NamedTuple):
    """Whom a connection leads to."""

    is_tls: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Base:
    """A provider's base URL, taken apart and made canonical."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    """What stands in the query of each request, as it was written."""
    authority: str = field(init=False, repr=False, compare=False)
    """host:port, as operators list it and as usage rows name it."""
    header: bytes = field(init=False, repr=False, compare=False)
    """The same as the header Host has it: without the port that the scheme has anyway."""
    origin: Origin = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = f"{host}:{self.port}"
        header = host if self.port == _DEFAULT_PORTS[self.scheme] else authority
        object.__setattr__(self, "authority", authority)
        object.__setattr__(self, "header", header.encode())
        object.__setattr__(self, "origin", Origin(self.scheme == "https", self.host, self.port))

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.header.decode()}{self.path}{query}"


@dataclass(frozen=True, slots=True)
class Target:
    """A provider and the key to show it."""

    base: Base
    key: str = field(repr=False)


def without_version(path: str) -> str:
    """Return the name in a path of one, to which some clients append `/v1` by themselves.

    A path of anything else is returned as it is.
    """
    name, _, version = path.partition("/")
    return name if VERSION.fullmatch(version) else path


@lru_cache(maxsize=512)
def read(path: str, header_key: str | None) -> Target:
    """Return the target that stands in `path`, percent-encoded as it came, without its endpoint.

    Raises InvalidTarget, with a message that names the part that wasn't understood.
    """
    if header_key is not None:
        return Target(base_in(path), _checked_key(header_key))
    # A client that encodes the whole target leaves no slash to split at.
    whole = path if "/" in path.strip("/") else unquote(path)
    if appended := _VERSION_AFTER_KEY.fullmatch(whole):
        whole = appended["target"]
    url, slash, key = whole.rpartition("/")
    is_one_segment = not slash or url.lower() in ("", "http:", "https:", "http:/", "https:/")
    if VERSION.fullmatch(key) or (is_one_segment and _HOST.search(key)):
        raise InvalidTarget(KEY_IS_MISSING)
    if is_one_segment:
        raise InvalidTarget(
            "The path must name a provider's URL, such as "
            "/api/v1/proxy/https://api.openai.com/v1/chat/completions, with its key in the header "
            "X-Upstream-Api-Key or right after the URL: …/v1/{key}/chat/completions."
        )
    return Target(base_in(url), _checked_key(unquote(key)))


def _checked_key(key: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidTarget(
            "The provider's key is empty or has characters that no header may hold."
        )
    return key


@lru_cache(maxsize=2048)
def base_in(path: str) -> Base:
    """Return the base URL in a percent-encoded part of a path, its version named once.

    Raises InvalidTarget.
    """
    return base_of(_DOUBLED.sub(r"\1", unquote(path)))


def base_of(text: str) -> Base:
    """Return the base URL written in `text`: https://host/v1, https:/host/v1, host/v1.

    Raises InvalidTarget for what is no http(s) URL, has a user, a query or dot segments.
    """
    match = _URL.fullmatch(text)
    if not match or not text.isprintable() or "\\" in text:
        raise InvalidTarget("The target is no URL. Write it such as https://api.openai.com/v1.")
    scheme = (match["scheme"] or "https").lower()
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    path = (match["path"] or "").rstrip("/")
    if not 0 < port < 65536:
        raise InvalidTarget("The target's port must lie between 1 and 65535.")
    if "?" in path or "#" in path:
        raise InvalidTarget("The target's URL may have no query and no fragment.")
    if {".", ".."} & set(path.split("/")):
        raise InvalidTarget("The target's URL may have no '.' or '..' in its path.")
    return Base(scheme, _host_in(match["host"]), port, quote(path, safe=PATH_SAFE))


def stored_base_of(text: str) -> Base:
    """Return the base URL written in `text`, which may have a query and percent-encoded parts.

    Raises InvalidTarget.
    """
    url, _, query = text.partition("?")
    if not (query.isascii() and query.isprintable()) or {" ", "#"} & set(query):
        raise InvalidTarget("The query of the URL has characters that no URL may hold.")
    return replace(base_of(unquote(url)), query=query)


def path_at(base: Base, endpoint: str) -> str:
    """Return the path of an endpoint, and its query, as the provider at `base` is asked for it.

    A version in which the base ends and the endpoint begins counts once. Of a parameter that both
    have in their query, the endpoint's counts.
    """
    path, _, query = endpoint.partition("?")
    path = base.path + path
    if doubled := _SEAM.match(path, base.path.rfind("/") if base.path else len(path)):
        path = path[: doubled.start()] + path[doubled.end("version") :]
    if base.query:
        names = {_name_of(pair) for pair in query.split("&")}
        added = [pair for pair in base.query.split("&") if pair and _name_of(pair) not in names]
        query = "&".join([query, *added] if query else added)
    return f"{path or '/'}{'?' if query else ''}{query}"


def refuse_keys(base: Base) -> None:
    """Raise InvalidTarget for a base URL whose query holds a key: whoever sees the URL sees it."""
    if any(_KEY_NAME.fullmatch(_name_of(pair)) for pair in base.query.split("&")):
        raise InvalidTarget("The URL is shown, so its query may hold no key. Give it as the key.")


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


@lru_cache(maxsize=2048)
def base_for(base: Base, dialect: str, endpoint: str) -> Base:
    """Return a stored base URL as an endpoint of any dialect is appended to it.

    Its host may speak others than the one that it is stored for. Of two versions the endpoint's
    holds; where neither names one, that of the host's own API for OpenAI's dialects is taken.
    """
    if _FIRST_VERSION.match(endpoint):
        return replace(base, path=_LAST_VERSION.sub("", base.path))
    missing = "" if _LAST_VERSION.search(base.path) else _OPENAI_PATHS.get(dialect, "")
    return replace(base, path=base.path + missing) if missing else base


def refuse_own_tokens(*texts: str) -> None:
    """Raise InvalidTarget if a token of ours stands in what would go to a provider."""
    if any(own_tokens.contains_one(fully_unquoted(text)) for text in texts):
        raise InvalidTarget(
            "This is an Alchemyst key, not your provider's. It belongs into a header of its own, "
            "such as Authorization; give the key that the provider knows."
        )


def _host_in(text: str) -> str:
    try:
        return canonical_host(text)
    except InvalidHostName:
        raise InvalidTarget("The target's host is no valid name.") from None
    except ValueError:
        raise InvalidTarget from None
