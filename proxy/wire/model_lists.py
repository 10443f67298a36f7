"""Lists of models, in any format: an object with an array of objects that have a name each."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_entries_decoder = msgspec.json.Decoder(list[Raw])


def narrowed(body: bytes, field: str, is_shown: Callable[[bytes], bool]) -> bytes | None:
    """Return the body with only those entries of the array `field` that are shown, all else as is.

    `is_shown` may raise msgspec's errors. None where the body is no such list.
    """
    try:
        fields = _fields_decoder.decode(body)
        entries = [bytes(entry) for entry in _entries_decoder.decode(fields[field])]
        kept = [entry for entry in entries if is_shown(entry)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    fields[field] = Raw(b"[" + b",".join(kept) + b"]")
    return msgspec.json.encode(fields)
