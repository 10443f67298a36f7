"""Imports run one way: the roof, then chats, personas, proxy; accounts beside them, alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("chats", "personas", "proxy")
OURS = (*APPS, "alchemyst")

# What a file of each part may import of ours. What belongs to no app stands in `proxy.common`, but
# for the masking of logs and the reading of the environment: `alchemyst.logs`, `alchemyst.env`.
MAY_IMPORT = {
    "proxy.common": ("proxy.common",),
    "proxy": ("proxy",),
    "personas": ("personas", "proxy"),
    "chats": APPS,
    "alchemyst.accounts": (
        "alchemyst.accounts",
        "alchemyst.logs",
        "alchemyst.env",
        "proxy.common.web.drf",
        "proxy.common",
        "proxy.cost.policy",
        "proxy.relevance.modes",
    ),
}


def is_within(name: str, parts: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these parts, or belongs to one of them."""
    return f"{name}.".startswith(tuple(f"{part}." for part in parts))


def imports_of(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str:
    """The folder, or the flat module, of an app in which a dotted name stands."""
    return ".".join(name.split(".")[:2])


def files() -> list[Path]:
    found = [path for app in (*APPS, "alchemyst/accounts") for path in (ROOT / app).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_downwards_only(path: Path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    allowed = next(allowed for part, allowed in MAY_IMPORT.items() if is_within(name, (part,)))

    ours = [imported for imported in imports_of(path) if is_within(imported, OURS)]

    assert [imported for imported in ours if not is_within(imported, allowed)] == []


def test_relevance_is_pure():
    """No Django, no network, no clock that its result could hang on."""
    banned = {"django", "rest_framework", "aiohttp", "requests", "socket", "random", "datetime"}
    for path in (ROOT / "proxy" / "relevance").rglob("*.py"):
        names = {name.split(".")[0] for name in imports_of(path)}
        assert not names & banned, path.name


def test_the_top_level_holds_the_known_packages_and_no_other():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert packages == {"alchemyst", "chats", "personas", "proxy", "tests"}


def test_the_rooms_of_the_proxy_form_no_circle():
    arrows: dict[str, set[str]] = {}
    for path in (ROOT / "proxy").rglob("*.py"):
        if "migrations" not in path.parts:
            room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
            rooms = {room_of(name) for name in imports_of(path) if is_within(name, ("proxy",))}
            arrows[room] = arrows.get(room, set()) | rooms - {room}

    # Raises CycleError, which names the rooms.
    TopologicalSorter(arrows).prepare()
