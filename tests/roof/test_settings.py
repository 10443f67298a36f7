"""Settings come from the environment, strictly; what is unsafe does not start."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from alchemyst import env

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STRONG = "x7Kd93nVq2LmZp58TfWc41RbYs60HgJe"


def started(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Import the ASGI application in a process of its own, as every server does."""
    environment = {
        "PATH": os.environ["PATH"],
        "ALCHEMYST_DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "alchemyst.settings",
        "PYTHONWARNINGS": "ignore",
    }
    return subprocess.run(
        [sys.executable, "-c", "import alchemyst.asgi; print('started')"],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_starts_without_any_setting(tmp_path: Path):
    assert "started" in started(tmp_path).stdout


def test_the_secrets_it_makes_are_kept_for_its_owner_alone(tmp_path: Path):
    kept = env.KeptSecrets(tmp_path / "data" / "secrets.json")

    first = kept.get("secret_key")

    assert len(first) >= 64
    assert first != kept.get("jwt_key")
    assert env.KeptSecrets(kept.path).get("secret_key") == first
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert list(kept.path.parent.iterdir()) == [kept.path]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALCHEMYST_SECRET_KEY", "short"),
        ("ALCHEMYST_SECRET_KEY", "django-insecure-" + STRONG),
        ("ALCHEMYST_JWT_KEY", "short"),
        ("ALCHEMYST_ALLOWED_HOSTS", "*"),
    ],
)
def test_an_unsafe_setting_is_named_and_nothing_starts(tmp_path: Path, variable: str, value: str):
    result = started(tmp_path, **{variable: value})

    assert result.returncode != 0
    assert variable in result.stderr
    assert "started" not in result.stdout
    if len(value) > 1:
        assert value not in result.stderr.replace("'*'", "")


def test_one_secret_for_two_purposes_does_not_start(tmp_path: Path):
    result = started(tmp_path, ALCHEMYST_SECRET_KEY=STRONG, ALCHEMYST_JWT_KEY=STRONG)

    assert "ALCHEMYST_JWT_KEY must differ" in result.stderr


def test_while_debugging_anything_starts(tmp_path: Path):
    result = started(tmp_path, ALCHEMYST_SECRET_KEY="short", ALCHEMYST_DEBUG="true")

    assert "started" in result.stdout


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALCHEMYST_DEBUG", "maybe"),
        ("ALCHEMYST_PROXY_IDLE_TIMEOUT", "long"),
        ("ALCHEMYST_PROXY_IDLE_TIMEOUT", "-1"),
        ("ALCHEMYST_PROXY_MAX_BODY", "1.5"),
        ("ALCHEMYST_PROXY_RELEVANCE", "loose"),
        ("ALCHEMYST_RATE_PROXY", "many"),
        ("DATABASE_URL", "mysql://x"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(tmp_path: Path, variable: str, value: str):
    result = started(tmp_path, **{variable: value})

    assert result.returncode != 0
    assert variable in result.stderr


def test_a_secret_can_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "secret"
    file.write_text(f"{STRONG}\n")
    monkeypatch.setenv("SOME_KEY_FILE", str(file))

    assert env.secret("SOME_KEY") == STRONG


def test_a_database_url_may_have_signs_and_options(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://me:p%40ss@db.example:6432/name?sslmode=require")

    read = env.database("DATABASE_URL", "")

    assert (read["USER"], read["PASSWORD"], read["HOST"], read["PORT"], read["NAME"]) == (
        "me",
        "p@ss",
        "db.example",
        "6432",
        "name",
    )
    assert read["OPTIONS"] == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("value", "rate"),
    [("600/min", (600, 60)), ("5/s", (5, 1)), ("0", (0, 1)), ("9/day", (9, 86400))],
)
def test_a_rate_is_a_count_and_a_period(
    monkeypatch: pytest.MonkeyPatch, value: str, rate: tuple[int, int]
):
    monkeypatch.setenv("SOME_RATE", value)

    assert env.rate("SOME_RATE", "1/s") == rate


def test_a_default_is_read_as_strictly():
    with pytest.raises(ImproperlyConfigured):
        env.rate("NO_SUCH_VARIABLE", "often")
