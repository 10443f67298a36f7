"""What docs/operations.md tells operators to type is typed as it stands, and does what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
import pytest
from markdown_it import MarkdownIt

from tests.chats.answers import KEY, Api, asking, questions
from tests.chats.processes import ROOT, Installation, database
from tests.chats.test_processes import Load, check
from tests.fakes import ANSWER, FakeProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = ROOT / "docs" / "operations.md"
APPLICATION = ("alchemyst", "chats", "personas", "proxy", "static", "templates")
IS_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")
ON_SQLITE = {"the backup": 0, "the trial": 1, "the restore": 2}
ON_POSTGRESQL = {"the backup": 3, "the restore": 4}
NOT_TYPED = {
    "make soak": "takes minutes: CI does it for each change, and a long one by night",
    "vllm serve": "needs a GPU and a model of 15 GB",
    "celery -A alchemyst worker": "runs until it is stopped: tests/roof/test_tasks.py starts one",
}
"""The commands of the page that no test here types, and why."""
_TABLES = """
import hashlib, json
from django.apps import apps
from django.db import connection
rows = {}
for model in apps.get_models(include_auto_created=True):
    if model._meta.app_label in ("accounts", "chats", "personas", "proxy"):
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
            place = [c[0] for c in cursor.description].index(model._meta.pk.column)
            rows[model._meta.label] = {
                str(row[place]): hashlib.sha256(repr(row).encode()).hexdigest() for row in cursor}
print(json.dumps(rows))
"""
_SETTLED = """
import json
from chats.models import Generation
over = Generation.objects.exclude(state__in=["queued", "streaming"])
print(json.dumps([str(pk) for pk in over.values_list("message", flat=True)]))
"""
CHANGE_LATER = {
    "accounts.ApiKey",
    "chats.Branch",
    "chats.Chat",
    "chats.Generation",
    "proxy.UsageRollup",
}
"""Rows that are there to be written again: last use, titles, states, sums."""
SHORT_LIVED = {"accounts.LimitCount", "accounts.LimitHold", "proxy.BudgetHold"}


def blocks(heading: str) -> list[str]:
    """Return the blocks of commands under a heading of the page, in order."""
    section, commands = "", []
    tokens = MarkdownIt().parse(PAGE.read_text(encoding="utf-8"))
    for token, before in zip(tokens[1:], tokens, strict=False):
        if before.type == "heading_open":
            section = token.content
        elif token.type in ("code_block", "fence") and section == heading:
            commands.append(token.content)
    return commands


@dataclass
class Machine:
    """An installation as an operator has it: the code in a folder, its data in `var`."""

    installation: Installation
    folder: Path

    @classmethod
    def make(cls, folder: Path, provider: FakeProvider, **environment: str) -> Machine:
        code = folder / "code"
        for name in APPLICATION:
            shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (ROOT / "manage.py", *ROOT.glob("requirements*.txt")):
            shutil.copy(file, code)
        bin_folder = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        installation = Installation(
            folder,
            provider,
            PATH=bin_folder,
            ALCHEMYST_C1_BASE_URL=f"{provider.url}/v1",
            **environment,
        )
        (code / "var").symlink_to(folder / "data")
        return cls(installation, code)

    def types(self, commands: str, **environment: str) -> str:
        """Run commands in a shell, in the folder of the code, and return what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            # The requirements are installed; nothing is fetched.
            env=self.installation.environment | {"PIP_NO_INDEX": "1"} | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def rows(self) -> dict[str, dict[str, str]]:
        """Return a digest of each row of ours, by model and primary key."""
        rows: dict[str, dict[str, str]] = json.loads(
            self.installation.shell(_TABLES).splitlines()[-1]
        )
        return {label: each for label, each in rows.items() if label not in SHORT_LIVED}

    def settled(self) -> set[str]:
        """Return the messages whose answers are over."""
        return set(json.loads(self.installation.shell(_SETTLED).splitlines()[-1]))


@pytest.fixture
def machine(tmp_path: Path, provider: FakeProvider) -> Iterator[Machine]:
    with database() as environment:
        # The commands are for pg_dump too, which knows no options of ours.
        yield Machine.make(tmp_path, provider, **environment)


def backup_and_restore() -> dict[str, str]:
    written = blocks("Backup and restore")
    places = ON_POSTGRESQL if IS_POSTGRESQL else ON_SQLITE
    return {name: written[place] for name, place in places.items()}


class TestABackupUnderLoad:
    @pytest.fixture(autouse=True)
    def _with_the_programs_of_postgresql(self) -> None:
        if IS_POSTGRESQL and not (shutil.which("pg_dump") and shutil.which("pg_restore")):
            pytest.skip("pg_dump and pg_restore are not installed here")

    def test_holds_what_was_acknowledged_before_it_and_opens_with_its_keys(
        self, machine: Machine, provider: FakeProvider
    ):
        installation, commands = machine.installation, backup_and_restore()
        with (
            installation.servers(2) as servers,
            Load(installation, [server.url for server in servers]) as load,
        ):
            load.wait_for(partial(load.is_enough_on, servers[0].url))
            acknowledged = list(load.acknowledged)
            settled, before = machine.settled(), machine.rows()
            at_backup = len(load.complete)
            machine.types(commands["the backup"])
            load.wait_for(partial(load.has_completed, at_backup + 5))
        self._lose_everything(machine)

        machine.types(commands["the restore"])

        after = machine.rows()
        kept = [
            text for role, text, _ in json.loads(installation.look())["messages"] if role == "user"
        ]
        assert set(acknowledged) <= set(kept)
        assert len(kept) == len(set(kept))
        for label, rows in before.items():
            assert rows.keys() <= after[label].keys(), label
            if label not in CHANGE_LATER:
                fixed = rows.keys() & settled if label == "chats.Message" else rows.keys()
                assert {pk: rows[pk] for pk in fixed} == {pk: after[label][pk] for pk in fixed}, (
                    label
                )
        self._works(machine, provider)

    @staticmethod
    def _lose_everything(machine: Machine) -> None:
        """Have the disk fail: neither rows nor keys are left."""
        if IS_POSTGRESQL:
            with psycopg.connect(machine.installation.environment["DATABASE_URL"]) as connection:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
        for file in (machine.folder / "var").iterdir():
            file.unlink()

    @staticmethod
    def _works(machine: Machine, provider: FakeProvider) -> None:
        """The API key lets in, the stored provider's key opens, the answer is stored."""
        provider.received.clear()
        with machine.installation.servers(1) as servers:
            api = Api(machine.installation.http(), servers[0].url)
            answer = api.generate(asking("After the restore?", persona="maya"))
        assert answer.json()["result"]["message"] == ANSWER
        assert questions(provider)[-1].headers["Authorization"] == f"Bearer {KEY}"

    def test_is_for_nobody_elses_eyes(self, machine: Machine):
        machine.types(backup_and_restore()["the backup"])

        files = list(machine.folder.glob("backup*"))

        assert len(files) == 2
        assert {file.stat().st_mode & 0o077 for file in files} == {0}

    @pytest.mark.skipif(IS_POSTGRESQL, reason="the trial is SQLite's")
    def test_can_be_tried_beside_the_original(self, machine: Machine):
        commands = backup_and_restore()
        machine.types("python manage.py collectstatic --noinput --verbosity 0")
        machine.types(commands["the backup"])

        trial = machine.types(commands["the trial"])

        assert re.search(r"ok +vault +", trial)
        assert "amiss" not in trial


class TestAnUpgrade:
    def test_is_made_while_processes_serve(self, machine: Machine, provider: FakeProvider):
        installation, commands = machine.installation, blocks("Upgrade")
        with (
            installation.servers(2) as servers,
            Load(installation, [server.url for server in servers]) as load,
        ):
            load.wait_for(partial(load.has_completed, 5))
            printed = [machine.types(command) for command in commands]
            done = len(load.complete)
            load.wait_for(partial(load.has_completed, done + 5))
        assert "No migrations to apply" in printed[1]
        assert load.unsure == []
        check(installation, load)

    @pytest.mark.skipif(not IS_POSTGRESQL, reason="only PostgreSQL knows the option")
    def test_gives_up_where_a_table_is_in_use_for_long(self, machine: Machine):
        (command,) = re.findall(r"`(PGOPTIONS=[^`]+)`", PAGE.read_text(encoding="utf-8"))
        machine.types("python manage.py migrate --verbosity 0 accounts 0010")
        url = machine.installation.environment["DATABASE_URL"]
        with psycopg.connect(url) as somebody:
            somebody.execute("SELECT * FROM accounts_apikey")
            with pytest.raises(AssertionError, match="locked by another writer"):
                machine.types(command)
        machine.types(command)

        assert "[ ]" not in machine.types("python manage.py showmigrations accounts")


class TestTheOtherCommands:
    def test_say_how_it_is(self, machine: Machine):
        (doctor,) = blocks("Is it well?")
        machine.types("python manage.py collectstatic --noinput --verbosity 0")

        assert "amiss" not in machine.types(doctor)
        machine.types("python manage.py check --deploy")
        assert "[X]" in machine.types("python manage.py showmigrations --plan")
        machine.types("python manage.py try_model")

    def test_change_the_vaults_key(self, machine: Machine, provider: FakeProvider):
        installation = machine.installation
        (secrets,) = [
            json.loads(file.read_text()) for file in (machine.folder / "var").glob("secrets.json")
        ]
        both = {
            "ALCHEMYST_VAULT_KEY": f"a-new-key-of-enough-letters-0123456789,{secrets['vault_key']}"
        }
        machine.types("python manage.py rotate_vault", **both)

        (machine.folder / "var" / "secrets.json").unlink()
        alone = {"ALCHEMYST_VAULT_KEY": "a-new-key-of-enough-letters-0123456789"}
        machine.types("python manage.py collectstatic --noinput --verbosity 0")
        assert "amiss" not in machine.types("python manage.py doctor", **alone)

        with installation.servers(1, **alone) as servers:
            api = Api(installation.http(), servers[0].url)
            answer = api.generate(asking("And now?", persona="maya"))
        assert answer.json()["result"]["message"] == ANSWER
        assert questions(provider)[-1].headers["Authorization"] == f"Bearer {KEY}"


def test_no_command_of_the_page_is_forgotten():
    sections = {
        "Is it well?": 1,
        "Backup and restore": len(ON_SQLITE) + len(ON_POSTGRESQL),
        "Upgrade": 2,
        "What was tried": 1,
        "More machines": 1,
    }
    text = PAGE.read_text(encoding="utf-8")
    source = Path(__file__).read_text(encoding="utf-8")
    inline = set(re.findall(r"`((?:python|celery|pg_\w+)[^`]* [^`]+)`", text))

    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert {name: len(blocks(name)) for name in headings if blocks(name)} == sections
    typed = source + "".join(block for name in sections for block in blocks(name))
    assert {command for command in inline if command not in typed} <= NOT_TYPED.keys()
    assert all(name in text for name in NOT_TYPED)
