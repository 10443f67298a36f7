"""The house: its packages, and rooms that one look takes in.

Who may import whom stands in `pyproject.toml`, and `make check` holds it (import-linter).
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("alchemyst", "chats", "personas", "proxy")
MOST_MODULES = 12


def rooms() -> list[Path]:
    inner = [path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    return sorted(path for path in inner if path.name != "migrations")


@pytest.mark.parametrize("room", rooms(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_holds_a_dozen_modules_at_most(room: Path):
    modules = [path.name for path in room.glob("*.py") if path.name != "__init__.py"]

    assert len(modules) <= MOST_MODULES


def test_the_top_level_holds_the_known_packages_and_no_other():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert packages == {*PACKAGES, "tests"}
