"""Many rows by few statements: one by one, by the ORM, they would take ten times as long.

Values are given in the database's own types, since nothing looks at them here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from django.db import connection, models


@cache
def columns_of(model: type[models.Model]) -> tuple[str, ...]:
    """Return the columns of a model's table but for the primary key, which the database gives."""
    fields = model._meta.concrete_fields
    return tuple(str(field.column) for field in fields if not field.primary_key)


def bulk_insert(
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    *,
    on_conflict: str = "",
    at_once: int = 1,
) -> None:
    """Insert rows, each in the columns' order; `at_once` of them by each statement.

    `on_conflict` is what stands after ON CONFLICT, for rows that are there already.
    """
    rest = len(rows) % at_once
    joined = [
        list(chain.from_iterable(rows[start : start + at_once]))
        for start in range(rest, len(rows), at_once)
    ]
    with connection.cursor() as cursor:
        for count, values in ((1, rows[:rest]), (at_once, joined)):
            if values:
                cursor.executemany(_statement(model, columns, count, on_conflict), values)


@cache
def _statement(
    model: type[models.Model], columns: tuple[str, ...], rows: int, on_conflict: str
) -> str:
    quote = connection.ops.quote_name
    column_list = ", ".join(map(quote, columns))
    row = f"({', '.join(['%s'] * len(columns))})"
    table = quote(model._meta.db_table)
    statement = f"INSERT INTO {table} ({column_list}) VALUES {', '.join([row] * rows)}"  # noqa: S608
    return f"{statement} ON CONFLICT {on_conflict}" if on_conflict else statement
