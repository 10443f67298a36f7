"""What is connected at the start: in one place, once, and by nothing that is only imported."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest
from django.conf import settings
from django.core import checks
from django.core.signals import setting_changed
from django.db.models.signals import post_delete, post_migrate, post_save

from alchemyst import wiring
from alchemyst.accounts import broadcast
from alchemyst.accounts.signals import access_changed, access_ended
from chats.answers import admission
from proxy.accounting import conversation_capture, usage_writer
from proxy.models.provider import providers_updated

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("alchemyst", "chats", "personas", "proxy")
# Besides the settings: what starts a process and names them, a child that is given a part of
# our environment, a command that asks how its terminal is, and what installs all of it.
READS_THE_ENVIRONMENT = {
    "alchemyst/asgi.py",
    "alchemyst/celery.py",
    "alchemyst/env.py",
    "alchemyst/bootstrap/install.py",
    "proxy/upstream/builtin.py",
    "proxy/upstream/builtin_server.py",
    "proxy/management/commands/filter.py",
}
REGISTERING = ("connect", "register", "register_lookup", "append", "subscribe", "register_sink")


def modules() -> list[Path]:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [path for path in paths if "migrations" not in path.parts]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def registers(node: ast.stmt) -> bool:
    """Whether a statement of a module calls `signal.connect(...)` or the like, decorates by it, or
    sets another's attribute."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=attr))):
            return attr in REGISTERING
        case ast.Assign(targets=targets):
            return any(isinstance(target, ast.Attribute) for target in targets)
        case ast.FunctionDef() | ast.ClassDef():
            decorators = map(ast.unparse, node.decorator_list)
            return any(each.rpartition(".")[2] in REGISTERING for each in decorators)
    return False


def connected() -> tuple[object, ...]:
    signals = (
        setting_changed,
        post_save,
        post_delete,
        post_migrate,
        access_changed,
        access_ended,
        providers_updated,
    )
    return (
        [len(signal.receivers) for signal in signals],
        set(checks.registry.registry.registered_checks),
        list(usage_writer.sinks),
        list(conversation_capture._sinks),
        {topic: list(acts) for topic, acts in broadcast._subscribers.items()},
        admission.gate,
    )


def test_connecting_again_changes_nothing():
    # To connect also drops receivers of other tests that are gone.
    wiring.connect()
    before = connected()

    wiring.connect()

    assert connected() == before


def test_a_module_registers_nothing_as_it_is_imported():
    """Django's admin alone is built so."""
    offenders = {
        f"{name(path)}:{node.lineno}"
        for path in modules()
        if "admin" not in path.parts
        for node in ast.parse(path.read_text()).body
        if registers(node)
    }

    assert offenders == set()


def test_the_environment_is_read_by_the_settings_alone():
    readers = {name(path) for path in modules() if "os.environ" in names_in(path)}

    assert readers == READS_THE_ENVIRONMENT


@pytest.mark.parametrize("app", PACKAGES)
def test_the_logs_of_each_app_stand_at_info(app: str):
    assert settings.LOGGING["loggers"][app]["level"] == "INFO"
    assert logging.getLogger(f"{app}.anything").getEffectiveLevel() == logging.INFO
