"""The text of an answer as it came, whatever its dialect."""

from __future__ import annotations

import msgspec

from proxy.errors import ApiError
from proxy.wire.dialect import Dialect
from proxy.wire.sse import EventReader


def answer_text(dialect: Dialect, answer: bytes, *, is_whole: bool = True) -> str:
    """Return the text of an answer as it came from a provider of that dialect, or of its beginning.

    It is empty if the answer calls tools, or can't be read.
    """
    texts = []
    try:
        for data in _events(answer, is_whole):
            if any(mark in data for mark in dialect.CALL_MARKS):
                return ""
            texts.append(dialect.parse_event(data).text)
    except (ApiError, ValueError, RecursionError):
        return ""
    return "".join(texts)


def _events(answer: bytes, is_whole: bool) -> list[bytes]:
    """Return what came in events, in a list, or as a whole."""
    start = answer.lstrip()[:1]
    if start == b"[":
        return list(map(bytes, msgspec.json.decode(answer, type=list[msgspec.Raw])))
    if start == b"{":
        return [answer]
    # All of it is held anyway, and the last event may repeat the whole answer.
    reader = EventReader(longest=len(answer))
    return [*reader.read(answer), *(reader.end() if is_whole else ())]
