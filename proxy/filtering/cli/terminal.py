"""Decisions as lines of a terminal."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterator, Sequence

from proxy.filtering.decisions import Decision
from proxy.filtering.result import FilterResult

# More of a text than any terminal is wide is not measured.
_LOOKED_AT = 2000
_LEAST_TEXT = 20


def table(result: FilterResult, decisions: Sequence[Decision]) -> Iterator[str]:
    """Yield a line for each decision: its place, role, fate, score, tokens, reason and text."""
    columns = [_columns(decision) for decision in decisions]
    widths = [max(map(_width, column)) for column in zip(*columns, strict=True)]
    for decision, texts in zip(decisions, columns, strict=True):
        cells = (_padded(text, width) for text, width in zip(texts, widths, strict=True))
        beginning = "  ".join(cells)
        room = max(shutil.get_terminal_size().columns - _width(beginning) - 2, _LEAST_TEXT)
        text = truncate(result.request.messages[decision.index].text, room)
        yield f"{beginning}  {text}".rstrip()


def truncate(text: str, width: int) -> str:
    """Return the beginning of a text on one line of `width` columns, with nothing that acts."""
    plain = "".join(c if c.isprintable() else " " for c in text[:_LOOKED_AT])
    plain = " ".join(plain.split())
    if _width(plain) <= width:
        return plain
    text_in_room, room = "", width - 1
    for character in plain:
        room -= _width(character)
        if room < 0:
            break
        text_in_room += character
    return f"{text_in_room}…"


def bar(done: int, total: int, *, width: int = 24) -> str:
    """Return a progress bar."""
    full = width * done // total
    return f"[{'#' * full}{' ' * (width - full)}] {done}/{total}"


def _columns(decision: Decision) -> list[str]:
    score = "-" if decision.score is None else f"{decision.score:.2f}"
    return [
        f"{decision.index:>3}",
        decision.role,
        decision.fate,
        score,
        f"{decision.tokens:>5}",
        truncate(decision.reason, 40),
    ]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return how many columns a text takes: wide characters two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
