"""How a list names hosts: whole, with or without a port, or all under a name: `*.example.com`.

The beginning of a host's name says nothing of whose it is (`api.example*` would fit
api.example.evil.test), so an entry that is neither names nothing.
"""

from __future__ import annotations

import re

_LABEL = r"[a-z0-9_-]{1,63}"
# Addresses have nothing under them: the last label after `*.` has a letter.
_ENTRY = re.compile(
    rf"\*(?:\.{_LABEL})*\.(?=[^.]*[a-z]){_LABEL}"
    rf"|(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::[0-9]{{1,5}})?"
)
_PORT = re.compile(r":[0-9]+$")


def is_valid(entry: str) -> bool:
    """Whether a list may have this entry."""
    return _ENTRY.fullmatch(entry) is not None


def covers(entry: str, host: str) -> bool:
    """Whether `entry` names all that `host` does: a host with or without a port, or an entry."""
    if not is_valid(entry):
        return False
    bare = _PORT.sub("", host)
    return entry in (host, bare) or (entry.startswith("*.") and bare.endswith(entry[1:]))
