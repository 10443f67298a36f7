"""Tables as CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

# What makes a spreadsheet execute a cell, also in the full-width forms that some fold:
# https://owasp.org/www-community/attacks/CSV_Injection
_LEADING = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class _Line:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield a CSV line for the names and for each row, as rows come."""
    writer = csv.writer(_Line())
    yield writer.writerow(names)
    for row in rows:
        yield writer.writerow(map(cell, row))


def cell(value: Any) -> Any:
    """Return what stands in a cell: a text that would be a formula gets an apostrophe in front."""
    if isinstance(value, str) and value.lstrip(" ").startswith(_LEADING):
        return f"'{value}"
    return value
