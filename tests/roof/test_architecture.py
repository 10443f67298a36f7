"""Imports run one way: the roof, then chats, personas, proxy; accounts beside them, alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOF = "alchemyst"
ACCOUNTS = "alchemyst.accounts"
APPS = ("chats", "personas", "proxy")

# Values and rules without Django's models, which accounts may name too.
PURE = ("proxy.common", "proxy.relevance.modes", "proxy.cost.policy")

# What a file of each part may import of ours. Ways of calling that belong to no app, such as the
# types of ASGI and the masking of logs, stand in `alchemyst.logs` and `alchemyst.env`.
MAY_IMPORT = {
    "proxy.common": {"proxy.common"},
    "proxy": {"proxy", *PURE},
    "personas": {"personas", "proxy", *PURE},
    "chats": {"chats", "personas", "proxy", *PURE},
    ACCOUNTS: {ACCOUNTS, "alchemyst.logs", "alchemyst.env", *PURE},
}


def part_of(name: str) -> str:
    """The part that a module belongs to: an app, accounts, or a file of the roof."""
    if name == ACCOUNTS or name.startswith(f"{ACCOUNTS}."):
        return ACCOUNTS
    for pure in PURE:
        if name == pure or name.startswith(f"{pure}."):
            return pure
    top = name.split(".")[0]
    return top if top != ROOF else ".".join(name.split(".")[:2])


def imports_of(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def files() -> list[Path]:
    found = [path for app in (*APPS, "alchemyst/accounts") for path in (ROOT / app).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_downwards_only(path: Path):
    own = part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))

    ours = {part_of(name) for name in imports_of(path) if name.split(".")[0] in (*APPS, ROOF)}

    assert ours <= MAY_IMPORT.get(own, MAY_IMPORT["proxy"])


def test_relevance_is_pure():
    """No Django, no network, no clock that its result could hang on."""
    banned = {"django", "rest_framework", "aiohttp", "requests", "socket", "random", "datetime"}
    for path in (ROOT / "proxy" / "relevance").rglob("*.py"):
        names = {name.split(".")[0] for name in imports_of(path)}
        assert not names & banned, path.name


def test_the_top_level_holds_the_known_packages_and_no_other():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert packages == {"alchemyst", "chats", "personas", "proxy", "tests"}
