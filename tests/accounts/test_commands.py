from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from alchemyst.accounts.auth.authentication import authenticate
from alchemyst.accounts.models import SCOPES, ApiKey, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def output_of(command: str, *args: str) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


class TestWelcome:
    def test_makes_an_administrator_and_a_key_that_work(self, sign_in: Callable[..., APIClient]):
        text = output_of("welcome")

        password = re.search(r"Password +(\S+)", text)[1]
        assert sign_in("admin", password).status_code == 200
        assert User.objects.get().is_superuser
        keys = set(re.findall(r"alk_[\w-]+", text))
        assert len(keys) == 1
        assert authenticate(keys.pop().encode()).scopes == set(SCOPES)

    def test_shows_what_to_paste(self):
        text = output_of("welcome", "--host", "0.0.0.0", "--port", "8001")

        assert "curl http://127.0.0.1:8001/api/v1/proxy/default/chat/completions" in text
        assert 'base_url="http://127.0.0.1:8001/api/v1/proxy/default"' in text
        assert 'model="alchemyst-ai/alchemyst-c1"' in text

    def test_changes_nothing_and_tells_no_secret_the_second_time(self):
        output_of("welcome")
        before = [*User.objects.values(), *ApiKey.objects.values()]

        text = output_of("welcome")

        assert [*User.objects.values(), *ApiKey.objects.values()] == before
        assert "alk_" not in text
        assert "Password" not in text
        assert "$ALCHEMYST_KEY" in text
        assert "create_key admin" in text

    def test_makes_nobody_where_there_is_somebody(self, alice):
        output_of("welcome")

        assert User.objects.get() == alice

    def test_takes_name_and_password_from_the_operator(self, sign_in, monkeypatch, tmp_path):
        (tmp_path / "password").write_text(f"{PASSWORD}\n")
        monkeypatch.setenv("ALCHEMYST_ADMIN_USERNAME", "root")
        monkeypatch.setenv("ALCHEMYST_ADMIN_PASSWORD_FILE", str(tmp_path / "password"))

        text = output_of("welcome")

        assert PASSWORD not in text
        assert sign_in("root").status_code == 200


class TestCreateKey:
    def test_prints_a_key_with_the_scopes_asked_for(self, alice):
        text = output_of("create_key", "alice", "--name", "ci", "--scopes", "proxy", "chat").strip()

        assert authenticate(text.encode()).scopes == {"proxy", "chat"}
        assert ApiKey.objects.of(alice).get().name == "ci"

    def test_knows_no_stranger(self):
        with pytest.raises(CommandError, match="no user 'nobody'"):
            output_of("create_key", "nobody")

    def test_knows_no_other_scope(self, alice):
        with pytest.raises(CommandError, match="invalid choice"):
            output_of("create_key", "alice", "--scopes", "root")
