"""What the databases keep for the search: PostgreSQL a column and an index, SQLite two tables.

On SQLite an index row is known by a number of its own: the implicit row ids of a table with
another primary key may change. Django rebuilds a table for some changes of its model, and loses
its triggers: `repair` runs after each migration.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from chats.search.query import INDEXED_CHARACTERS, PUNCTUATION

SEARCHED = (("chats_message", "content"), ("chats_chat", "title"))


def install(connection: Any) -> None:
    """Make the index over what is there, and have it kept up to date."""
    for table, column in SEARCHED:
        if connection.vendor == "postgresql":
            _run(connection, _for_postgresql(table, column))
        else:
            _run(connection, [*_dropped(table), *_for_sqlite(table, column)])


def remove(connection: Any) -> None:
    for table, column in SEARCHED:
        if connection.vendor == "postgresql":
            _run(connection, [f"ALTER TABLE {table} DROP COLUMN {column}_words"])
        else:
            _run(connection, _dropped(table))


def repair(connection: Any) -> None:
    """Install the index again where SQLite has lost it."""
    if connection.vendor != "sqlite":
        return
    tables = connection.introspection.table_names()
    if any(table not in tables for table, _ in SEARCHED):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        triggers = {name for (name,) in cursor.fetchall()}
    wanted = {f"{table}_words_{when}" for table, _ in SEARCHED for when in ("in", "out", "new")}
    if not wanted <= triggers:
        install(connection)


def on_migrated(using: str, **kwargs: Any) -> None:
    repair(connections[using])


def _run(connection: Any, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _for_postgresql(table: str, column: str) -> list[str]:
    # The parser would keep what looks like a host, a path or a number in one piece.
    punctuation = PUNCTUATION.replace("'", "''")
    blanked = f"translate(left({column}, {INDEXED_CHARACTERS}), '{punctuation}', "
    blanked += f"'{' ' * len(PUNCTUATION)}')"
    words = f"{column}_words"
    return [
        f"ALTER TABLE {table} ADD COLUMN {words} tsvector "
        f"GENERATED ALWAYS AS (to_tsvector('simple', {blanked})) STORED",
        f"CREATE INDEX {table}_{words} ON {table} USING gin ({words})",
    ]


def _for_sqlite(table: str, column: str) -> list[str]:
    words, rows = f"{table}_words", f"{table}_rows"
    put = (
        f"INSERT INTO {rows} (row) VALUES (new.id); INSERT INTO {words} (rowid, said) "
        f"SELECT number, {_beginning(f'new.{column}')} FROM {rows} WHERE row = new.id; "
    )
    # An index without a text of its own must be given the text that is removed.
    forget = (
        f"INSERT INTO {words} ({words}, rowid, said) SELECT 'delete', number, "
        f"{_beginning(f'old.{column}')} FROM {rows} WHERE row = old.id; "
        f"DELETE FROM {rows} WHERE row = old.id; "
    )
    return [
        f"CREATE TABLE {rows} (number INTEGER PRIMARY KEY, row TEXT NOT NULL UNIQUE)",
        f"CREATE VIRTUAL TABLE {words} USING "
        f"fts5(said, content='', tokenize='unicode61 remove_diacritics 0')",
        f"INSERT INTO {rows} (row) SELECT id FROM {table}",
        f"INSERT INTO {words} (rowid, said) SELECT number, {_beginning(column)} "
        f"FROM {table} JOIN {rows} ON row = id",
        f"CREATE TRIGGER {words}_in AFTER INSERT ON {table} BEGIN {put}END",
        f"CREATE TRIGGER {words}_out AFTER DELETE ON {table} BEGIN {forget}END",
        f"CREATE TRIGGER {words}_new AFTER UPDATE OF {column} ON {table} "
        f"WHEN old.{column} IS NOT new.{column} BEGIN {forget}{put}END",
    ]


def _beginning(text: str) -> str:
    return f"substr({text}, 1, {INDEXED_CHARACTERS})"


def _dropped(table: str) -> list[str]:
    triggers = [f"DROP TRIGGER IF EXISTS {table}_words_{when}" for when in ("in", "out", "new")]
    return [*triggers, *(f"DROP TABLE IF EXISTS {table}_{kind}" for kind in ("words", "rows"))]
