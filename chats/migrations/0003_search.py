"""The index of the search: on PostgreSQL a column and an index, on SQLite two tables.

On SQLite an index row is known by a number of its own: the implicit row ids of a table with
another primary key may change.
"""

from django.db import migrations

SEARCHED = (("chats_message", "content"), ("chats_chat", "title"))
PUNCTUATION = "!\"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~"
"""As SQL writes it: the quote is doubled."""
BLANKS = " " * 32

# The parser of PostgreSQL would keep what looks like a host, a path or a number in one piece.
MAKE_POSTGRESQL = (
    "ALTER TABLE %(table)s ADD COLUMN %(column)s_words tsvector GENERATED ALWAYS AS "
    "(to_tsvector('simple', translate(left(%(column)s, 100000), '%(marks)s', '%(blanks)s'))) "
    "STORED",
    "CREATE INDEX %(table)s_%(column)s_words ON %(table)s USING gin (%(column)s_words)",
)
DROP_POSTGRESQL = ("ALTER TABLE %(table)s DROP COLUMN %(column)s_words",)

INSERT_SQLITE = (
    "INSERT INTO %(table)s_rows (row) VALUES (new.id); "
    "INSERT INTO %(table)s_words (rowid, said) "
    "SELECT number, substr(new.%(column)s, 1, 100000) FROM %(table)s_rows WHERE row = new.id; "
)
# An index without a text of its own is told what it forgets.
DELETE_SQLITE = (
    "INSERT INTO %(table)s_words (%(table)s_words, rowid, said) SELECT 'delete', number, "
    "substr(old.%(column)s, 1, 100000) FROM %(table)s_rows WHERE row = old.id; "
    "DELETE FROM %(table)s_rows WHERE row = old.id; "
)
MAKE_SQLITE = (
    "CREATE TABLE %(table)s_rows (number INTEGER PRIMARY KEY, row TEXT NOT NULL UNIQUE)",
    "CREATE VIRTUAL TABLE %(table)s_words USING "
    "fts5(said, content='', tokenize='unicode61 remove_diacritics 0')",
    "INSERT INTO %(table)s_rows (row) SELECT id FROM %(table)s",
    "INSERT INTO %(table)s_words (rowid, said) SELECT number, substr(%(column)s, 1, 100000) "
    "FROM %(table)s JOIN %(table)s_rows ON row = id",
    "CREATE TRIGGER %(table)s_words_in AFTER INSERT ON %(table)s BEGIN " + INSERT_SQLITE + "END",
    "CREATE TRIGGER %(table)s_words_out AFTER DELETE ON %(table)s BEGIN " + DELETE_SQLITE + "END",
    "CREATE TRIGGER %(table)s_words_new AFTER UPDATE OF %(column)s ON %(table)s "
    "WHEN old.%(column)s IS NOT new.%(column)s BEGIN " + DELETE_SQLITE + INSERT_SQLITE + "END",
)
DROP_SQLITE = (
    "DROP TRIGGER IF EXISTS %(table)s_words_in",
    "DROP TRIGGER IF EXISTS %(table)s_words_out",
    "DROP TRIGGER IF EXISTS %(table)s_words_new",
    "DROP TABLE IF EXISTS %(table)s_words",
    "DROP TABLE IF EXISTS %(table)s_rows",
)


def forwards(apps, schema_editor):
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    run(schema_editor, MAKE_POSTGRESQL if is_postgresql else DROP_SQLITE + MAKE_SQLITE)


def backwards(apps, schema_editor):
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    run(schema_editor, DROP_POSTGRESQL if is_postgresql else DROP_SQLITE)


def run(schema_editor, statements):
    with schema_editor.connection.cursor() as cursor:
        for table, column in SEARCHED:
            names = {"table": table, "column": column, "marks": PUNCTUATION, "blanks": BLANKS}
            for statement in statements:
                cursor.execute(statement % names)


class Migration(migrations.Migration):
    dependencies = [("chats", "0002_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
