"""Migrations go back as they came, leave what was stored, and bear the code of before them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chats.processes import ROOT, database
from tests.roof.migrating import ROWS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def migrating(folder: Path, step: str) -> dict[str, Any]:
    """Do a step of tests.roof.migrating on an empty database; return what it saw."""
    with database() as environment:
        done = subprocess.run(
            [sys.executable, "-m", "tests.roof.migrating", step],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "DJANGO_SETTINGS_MODULE": "alchemyst.settings",
                "ALCHEMYST_DATA_DIR": str(folder / "data"),
            }
            | environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_migration_goes_back_and_forth(tmp_path: Path):
    seen = migrating(tmp_path, "back-and-forth")

    assert seen["left"] == []
    assert seen["after"] == seen["before"]


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return migrating(tmp_path_factory.mktemp("beside"), "beside")


class TestACodeThatIsOlderThanTheSchema:
    """The processes that still run when `migrate` has ended, whatever tables they use."""

    def test_reads_and_writes_as_before_but_where_the_documentation_says(
        self, old_code: dict[str, list[str]]
    ):
        page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
        need_a_stop = set(re.findall(r"`((?:accounts|chats|personas|proxy)\.\d{4}_\w+)`", page))

        assert {name: faults for name, faults in old_code.items() if faults}.keys() == need_a_stop

    def test_is_tried_after_every_migration(self, old_code: dict[str, list[str]]):
        assert len(old_code) == len(list(ROOT.glob("*/migrations/0*.py"))) + len(
            list(ROOT.glob("alchemyst/*/migrations/0*.py"))
        )


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return migrating(tmp_path_factory.mktemp("upgrade"), "upgrade")


class TestAnUpgradeFromTheFirstSchema:
    def test_keeps_every_column_of_every_row(self, upgraded: dict[str, Any]):
        assert upgraded["changed"] == []

    def test_leaves_rows_that_todays_rules_accept(self, upgraded: dict[str, Any]):
        assert upgraded["unsound"] == []

    def test_neither_loses_nor_doubles_rows(self, upgraded: dict[str, Any]):
        stored = [row["model"] for row in json.loads(ROWS.read_text())]

        # The personas that come with the application join those that were there.
        assert {
            model: count
            for model, count in upgraded["counts"].items()
            if not model.startswith("personas.")
        } == {model: stored.count(model) for model in stored if not model.startswith("personas.")}

    def test_lets_people_in_as_before(self, upgraded: dict[str, Any]):
        assert upgraded["password"]
        assert upgraded["key"] == ["editor"]

    def test_shows_and_finds_the_chats(self, upgraded: dict[str, Any]):
        assert upgraded["chats"] == ["Sourdough", "Sourdough again"]
        assert upgraded["searched"] == ["Sourdough"]

    def test_keeps_a_shared_persona_beside_those_that_ship(self, upgraded: dict[str, Any]):
        assert upgraded["shared"] == ["ada", "hugo", "maya", "noor", "vera"]
        assert upgraded["counts"]["personas.Persona"] == 5

    def test_can_still_read_what_the_filter_decided(self, upgraded: dict[str, Any]):
        assert upgraded["decision"] == ["dropped", "protected"]
