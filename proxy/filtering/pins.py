"""Which messages a caller pins or excludes by header: `first,3,-1`, `4-9`, `last`."""

from __future__ import annotations

import re

from proxy.common.errors import InvalidRequest

_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})")
_PLACE = re.compile(r"-?\d{1,9}")


def places(text: str, count: int, *, header: str) -> frozenset[int]:
    """Return the places (from 0; negative from the end) that `text` names among `count` messages.

    Places outside are ignored, as histories grow and shrink; what is no place raises
    InvalidRequest.
    """
    if not text:
        return frozenset()
    places: set[int] = set()
    for word in filter(None, (word.strip() for word in text.split(","))):
        span = _RANGE.fullmatch(word)
        if span:
            places.update(range(int(span[1]), min(int(span[2]) + 1, count)))
        elif word in ("first", "last") or _PLACE.fullmatch(word):
            place = {"first": 0, "last": -1}.get(word)
            place = int(word) if place is None else place
            places.add(place + count if place < 0 else place)
        else:
            raise InvalidRequest(
                f"{header} has '{word[:40]}'; use places such as first, 3, -1 or 4-9.", param=header
            )
    return frozenset(place for place in places if 0 <= place < count)
