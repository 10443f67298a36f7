"""How much of the code is typed loosely: a number that may only fall."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("alchemyst", "chats", "personas", "proxy")
# How often annotations and aliases of types name `Any`. Lower it with every one that goes.
MOST_ANY = 535


def uses_of_any() -> Iterator[str]:
    """Where `Any` is named, but for its import: file:line."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Name) and node.id == "Any":
                        yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_any_is_named_as_often_as_written_here_and_no_more():
    count = len(list(uses_of_any()))

    assert count <= MOST_ANY, f"{count} times Any, {MOST_ANY} are allowed: give the new one a type."
    assert count == MOST_ANY, f"Only {count} times Any: well done. Lower MOST_ANY to {count}."
