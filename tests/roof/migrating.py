"""Migrations forth and back in a process of their own, on the database that its environment names.

`python -m tests.roof.migrating STEP` does one step and prints what it saw as JSON. It empties the
database, so that must be a scratch one.
"""

from __future__ import annotations

import json
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import django.apps
from django.core.exceptions import FieldError, ValidationError
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import StateApps
from django.db.models import Model

APPS = ("chats", "personas", "proxy", "accounts")
FIRST = ("chats", "0002_initial")
"""The least of what was first released: it brings the first state of the other apps along."""
KEY = "ak_first-schema-0123456789abcdefghijkl"
"""The text of the stored API key."""
OWNED_BY_ONE = ("Limit", "Budget")
"""What a constraint wants to belong to a user, or to something else."""
VALUES = {
    "BigIntegerField": 1,
    "BinaryField": b"bytes",
    "BooleanField": False,
    "DateField": datetime(2026, 3, 1, tzinfo=UTC).date(),
    "DateTimeField": datetime(2026, 3, 1, tzinfo=UTC),
    "DecimalField": 1,
    "FloatField": 1.0,
    "JSONField": [],
    "PositiveBigIntegerField": 1,
    "PositiveIntegerField": 1,
    "PositiveSmallIntegerField": 1,
}
"""A value of each kind, for columns that must have one."""
ROWS = Path(__file__).with_name("first_rows.json")

_SCHEMA = {
    "sqlite": "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
    "postgresql": """
        SELECT 'column', table_name || '.' || column_name,
            concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default)
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname,
            pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
            FROM pg_trigger WHERE NOT tgisinternal
    """,
}


def schema() -> list[list[str]]:
    """Return all that the database holds besides rows: kind, name and definition of each."""
    with connection.cursor() as cursor:
        cursor.execute(_SCHEMA[connection.vendor])
        return sorted([kind, name, definition or ""] for kind, name, definition in cursor)


def back_and_forth() -> dict[str, Any]:
    """Migrate to the newest, take all migrations of our apps back, and migrate again."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()
    executor.migrate(newest)
    before = schema()
    MigrationExecutor(connection).migrate([(app, None) for app in APPS])
    applied = MigrationRecorder(connection).applied_migrations()
    left = [name for _, name, _ in schema() if name.startswith(tuple(f"{app}_" for app in APPS))]
    left += [f"{app}.{name}" for app, name in applied if app in APPS]
    MigrationExecutor(connection).migrate(newest)
    return {"before": before, "left": left, "after": schema()}


def insert() -> None:
    """Make the first schema, with the stored rows in it."""
    executor = MigrationExecutor(connection)
    apps = executor.migrate([FIRST]).apps
    with transaction.atomic():
        for row in json.loads(ROWS.read_text()):
            _insert(apps.get_model(row["model"]), row["fields"])
    models = [model for app in APPS for model in apps.get_app_config(app).get_models()]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)


def _insert(model: Any, fields: dict[str, Any]) -> None:
    values = {name: model._meta.get_field(name).to_python(value) for name, value in fields.items()}
    model.objects.create(**values)


def upgrade() -> dict[str, Any]:
    """Migrate the stored rows of the first schema to the newest, and tell what became of them."""
    insert()
    call_command("migrate", verbosity=0)
    rows = json.loads(ROWS.read_text())
    return {
        "changed": [change for row in rows for change in _changes(row["model"], row["fields"])],
        "unsound": [fault for row in rows for fault in _faults(row["model"], row["fields"]["id"])],
        "counts": {
            model._meta.label: model._base_manager.count()
            for model in {django.apps.apps.get_model(row["model"]) for row in rows}
        },
    } | _in_use()


def _changes(label: str, fields: dict[str, Any]) -> list[str]:
    """Return which columns of a stored row no longer say what was stored."""
    model = django.apps.apps.get_model(label)
    row = model._base_manager.get(pk=fields["id"])
    return [
        f"{label}.{name} is {getattr(row, name)!r}"
        for name, value in fields.items()
        if getattr(row, name) != model._meta.get_field(name).to_python(value)
    ]


def _faults(label: str, pk: Any) -> list[str]:
    """Return what today's rules have against a row, the columns that are new included."""
    row = django.apps.apps.get_model(label)._base_manager.get(pk=pk)
    # That a form may not leave a column empty is no rule for what the program writes.
    empty = {field.name for field in row._meta.fields if getattr(row, field.attname) is None}
    try:
        row.full_clean(exclude=empty)
    except ValidationError as error:
        return [f"{label} {pk}: {error.message_dict}"]
    return []


def _in_use() -> dict[str, Any]:
    """Ask the application itself for what it must still find."""
    from alchemyst.accounts.models import ApiKey, User
    from chats.models import Chat
    from personas.models import Persona
    from proxy.models import DecisionRecord

    alice = User.objects.get(username="alice")
    return {
        "password": alice.check_password("correct-horse-battery"),
        "key": [key.name for key in ApiKey.objects.for_secret(KEY)],
        "chats": [chat.title for chat in Chat.objects.of(alice).order_by("title")],
        "searched": [chat.title for chat in Chat.objects.of(alice).about("levain")],
        "shared": sorted(Persona.objects.filter(is_shared=True).values_list("slug", flat=True)),
        "decision": [each["fate"] for each in DecisionRecord.objects.get().decisions()],
    }


def beside() -> dict[str, list[str]]:
    """Take each migration of ours, and do after it what the code before it does.

    Return what fails, by migration: an old process meets it between `migrate` and its restart.
    """
    executor = MigrationExecutor(connection)
    faults = {}
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
        step = MigrationExecutor(connection)
        before = step.loader.project_state(list(step.loader.applied_migrations)).apps
        step.migrate([(migration.app_label, migration.name)])
        if migration.app_label in APPS:
            faults[f"{migration.app_label}.{migration.name}"] = _old_code_fails(before)
    return faults


def _old_code_fails(before: StateApps) -> list[str]:
    known = {config.label for config in before.get_app_configs()} & set(APPS)
    models = [model for app in known for model in before.get_app_config(app).get_models()]
    return sorted(fault for model in models if (fault := _fails_on(model)))


def _fails_on(model: type[Model]) -> str:
    """Insert, read, change and delete a row, and take all back; return what went wrong."""
    try:
        with transaction.atomic():
            row = _new(model)
            model._base_manager.get(pk=row.pk).save()
            row.delete()
            connection.check_constraints()
            transaction.set_rollback(True)
    except (DatabaseError, FieldError) as error:
        return f"{model._meta.label}: {str(error).splitlines()[0]}"
    return ""


def _new(model: type[Model]) -> Model:
    """Make a row with no more in it than it needs, and the rows that it needs."""
    owned = ("user",) if model.__name__ in OWNED_BY_ONE else ()
    values = {
        field.name: _value(field)
        for field in model._meta.concrete_fields
        if field.name in owned or not _may_be_left_out(field)
    }
    return model._base_manager.create(**values)


def _may_be_left_out(field: Any) -> bool:
    return field.has_default() or field.null or field.blank or field.primary_key


def _value(field: Any) -> Any:
    if field.is_relation:
        return _new(field.related_model)
    kind = field.get_internal_type()
    if kind in ("CharField", "TextField"):
        return field.choices[0][0] if field.choices else secrets.token_hex(4)[: field.max_length]
    return VALUES[kind]


if __name__ == "__main__":
    django.setup()
    steps = {"back-and-forth": back_and_forth, "upgrade": upgrade, "beside": beside}
    print(json.dumps(steps[sys.argv[1]]()))
