"""What of a text, a path or a query may be shown: where a request went, and never a key.

A provider's key can stand in a request's path, and whoever mistypes the path sends it all the same.
So whatever follows a segment `proxy`, however that is spelled, is masked but for what is known to
be harmless; and what looks like a key is masked wherever it stands.

A key is told from an ordinary word by its prefix, or as 20 characters and more that change between
digits, small and capital letters as no words do. Ids of chats, messages and answers are UUIDs of
version 7 and stay readable; a UUID of any other version may be a provider's key.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

from proxy.common.percent import fully_unquoted

PROXY_PREFIX = "/api/v1/proxy/"
# Of characters that no server escapes when it writes a path down.
MASK = "~masked~"

# Parts of a path or a query, also where their separators are encoded, once or several times, or
# written as Django escapes what it logs (\uff0f).
_ESCAPE = r"\\(?:u[0-9a-f]{4}|x[0-9a-f]{2})"
_SEPARATOR = rf"[/?&=;:,\#\s\"'<>]|(?!{_ESCAPE})\\|%(?:25)*(?:2f|5c|3f|26|3d|3b|3a|2c|23)"
_PART = re.compile(
    rf"(?:{_SEPARATOR})|(?P<segment>(?:[^/?&=;:,\#\s\"'<>\\%]++|(?!{_SEPARATOR})[\\%])++)",
    re.IGNORECASE,
)
_ESCAPED = re.compile(_ESCAPE, re.IGNORECASE)
# Of a text, up to the next blank or quote. The files of a traceback are no requests.
_WORD = re.compile(r"""File\ "[^"\n]*"|(?P<word>[^\s"'<>]+)""", re.VERBOSE)
_OF_ADDRESSES = frozenset("/\\%?")
# The admin's pages of the proxy's rows.
_ADMIN = "/admin/proxy"

# A target with a question mark has the rest of itself, its key included, in the query.
_HARMLESS_QUERIES = ("", "?", "?alt=sse")
_ENDPOINT = (
    r"(?:/(?:chat/)?(?:completions|embeddings|responses|models)"
    r"|/v1(?:alpha|beta)?/models/[\w.-]{1,100}(?::|%3A)[A-Za-z]{1,40})/*"
)
_TAIL = re.compile(rf"({_ENDPOINT})$")
_OWN_ROUTES = re.compile(rf"(?:default|preview)(?:{_ENDPOINT})?|requests/req_[0-9a-f]+/*")
_ORIGIN = re.compile(
    r"(?P<scheme>https?)(?::|%3A)(?:/|%2F)+(?P<host>localhost|[\w-]+(?:\.[\w-]+)+|\[[0-9a-f:.]+\])"
    r"(?P<port>(?:(?::|%3A)[0-9]{1,5})?)(?=/|%2F|$)",
    re.IGNORECASE,
)

_KEY = r"""
    \b(?:sk|pk|rk|alk|gsk|xai|hf|csk|tgp|nvapi|pplx|sess|jina|r8|fw|key|glpat|gh[opsur]
        |github_pat|xox[abprs])[-_][A-Za-z0-9_\-]{8,}
    | \b(?:AIza|AQ\.|ya29\.|dapi|ABSK|A[KS]IA)[0-9A-Za-z_\-]{16,}
    | \beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)?
"""
_KEYS = re.compile(_KEY, re.VERBOSE | re.IGNORECASE)
# Names of headers as HTTP, CGI and programs write them; then what a value follows: `name: value`,
# `"name": "value"`, `(b'name', b'value')`.
_HEADER = r"(?:http_)?(?:authorization|(?:x[-_])?(?:goog[-_]|upstream[-_])?api[-_]?key)"
_IS = r"""(?:["']?\s*[=:]\s*|["']\s*,\s*)(?:b?["'])?"""
_SECRETS = re.compile(
    rf"""
      (?P<named>\b(?:bearer\s+|basic\s+|(?:{_HEADER}|
          (?:access|refresh)?_?token|password|secret){_IS}(?:(?:bearer|basic|key|token)\s+)?))
          [^\s"'&,;}})\]]+
    | (?P<query>[?&]key=)[^\s"'&]+
    | {_KEY}
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Of those that are known by their prefix.
_SHORTEST_PREFIXED_KEY = 11
# How long a run of characters must be to be taken for random.
_SHORTEST_KEY = 20
# Longer than the longest words of paths, such as streamGenerateContent.
_LONGEST_WORD = 23
_RUN = re.compile(rf"[A-Za-z0-9_.~+-]{{{_SHORTEST_KEY},}}")
# From a digit to a letter or back, or from a small letter to a capital. In random letters and
# digits every second pair is one, in names such as Llama-3.2-11B-Vision every tenth.
_CHANGE = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])|(?<=[a-z])(?=[A-Z])")
_LEAST_CHANGES = 1 / 6
# Ids that are no secrets: UUIDs of version 7, our requests', and the digests of static files.
_OWN_IDS = re.compile(
    r"(?<![\w-])[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(?![\w-])"
    r"|(?<![\w-])req_[0-9a-f]{24,36}(?![\w-])"
    r"|(?<=\.)[0-9a-f]{12}(?=\.[a-z]+$)"
)


def mask(text: str) -> str:
    """Return `text` without provider keys, tokens and passwords."""
    return _without_secrets(_WORD.sub(_masked_word, text))


def _masked_word(match: re.Match[str]) -> str:
    word = match["word"] or ""
    return match[0] if _OF_ADDRESSES.isdisjoint(word) else mask_path(word)


def _without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda match: (match["named"] or match["query"] or "") + MASK, text)


@lru_cache(maxsize=512)
def mask_path(path: str) -> str:
    """Return a path, with its query if there is one, that shows no key.

    Of a proxied one it names the target's host and the endpoint, and nothing between.
    """
    end = _end_of_proxy(path)
    if end is None:
        return _without_keys(path)
    before, rest = path[:end], path[end:]
    if before == _ADMIN:
        return before + _without_keys(rest)
    ending = f"/{MASK}" if rest else ""
    if f"{before}/".endswith(PROXY_PREFIX) and rest.startswith("/"):
        target, mark, query = rest.removeprefix("/").partition("?")
        ending = f"/{_masked_target(target)}{_masked_query(mark + query)}"
    return _without_keys(before) + ending


def mask_query(path: str, query: str) -> str:
    """Return what may be shown of the query that came with a path."""
    if names_proxy(path) and not path.startswith(f"{_ADMIN}/"):
        return _masked_query(f"?{query}")[1:]
    return _without_secrets(mask_path(f"?{query}"))[1:]


def names_proxy(path: str) -> bool:
    """Whether a path has a segment `proxy`, whatever its spelling."""
    return _end_of_proxy(path) is not None


def _end_of_proxy(path: str) -> int | None:
    """Return where the first segment `proxy` of a path ends, whatever its spelling."""
    for part in _PART.finditer(path):
        segment = _plain(part["segment"] or "").casefold()
        if "".join(filter(str.isalnum, segment)) == "proxy":
            return part.end()
    return None


def _masked_target(target: str) -> str:
    """Return a target with its endpoint; where no scheme says what the host is, none is shown."""
    if _OWN_ROUTES.fullmatch(target):
        return _without_keys(target)
    if not target:
        return ""
    end = _TAIL.search(target)
    tail = _without_keys(end[1]) if end else ""
    origin = _ORIGIN.match(target)
    if not origin:
        return f"{MASK}{tail}"
    host = _without_keys(origin["host"] + unquote(origin["port"]))
    return f"{origin['scheme'].lower()}://{host}/{MASK}{tail}"


def _masked_query(query: str) -> str:
    return query if query in _HARMLESS_QUERIES else f"?{MASK}"


def _without_keys(path: str) -> str:
    return _PART.sub(
        lambda part: MASK if _looks_like_a_key(part["segment"] or "") else part[0], path
    )


def _looks_like_a_key(segment: str) -> bool:
    if len(segment) < _SHORTEST_PREFIXED_KEY:
        return False
    plain = _OWN_IDS.sub("", _plain(segment))
    return bool(_KEYS.search(plain)) or any(_is_random(run) for run in _RUN.findall(plain))


def _is_random(run: str) -> bool:
    """Whether a run of at least `_SHORTEST_KEY` characters is no word and no list of words."""
    for piece in re.split(r"[_.~+-]", run):
        has_digit = any(map(str.isdecimal, piece))
        if len(piece) > _LONGEST_WORD or (has_digit and len(piece) >= _SHORTEST_KEY):
            return True
    return len(_CHANGE.findall(run)) >= len(run) * _LEAST_CHANGES


def _plain(segment: str) -> str:
    """Return a segment decoded, however often it was encoded, in Unicode's plainest form."""
    if "\\" in segment:
        segment = _ESCAPED.sub(lambda match: chr(int(match[0][2:], 16)), segment)
    segment = fully_unquoted(segment)
    return segment if segment.isascii() else unicodedata.normalize("NFKC", segment)
