"""Providers stored under a name: used in the path, their keys known to nobody again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from alchemyst import env
from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey, User
from alchemyst.operations import checks
from proxy.common import vault
from proxy.common.errors import KeyUnreadable
from proxy.models import Provider
from proxy.providers.cache import StoredProvider, memory
from proxy.upstream.target import base_of
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

PROVIDERS = "/api/v1/providers"
MISSING = "00000000-0000-4000-8000-000000000000"
CANARY = "provider-canary-7Zq4-secret"
SOUND = {"name": "openai", "base_url": "https://api.openai.com/v1", "key": CANARY}
QUESTION = HISTORY[-1:]
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "How long does bread bake?"}]}]}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    memory.clear()


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("staff", is_staff=True)


@pytest.fixture
def as_staff(staff: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(staff).access}")
    return client


def kept(owner: User, name: str = "mine", key: str = CANARY, **fields: Any) -> Provider:
    """A provider as it stands in the database."""
    made = Provider(owner=owner, name=name, **{"base_url": SOUND["base_url"]} | fields)
    made.seal(key)
    made.save()
    return made


def in_the_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM proxy_provider")
        return str(cursor.fetchall())


class TestStoring:
    def test_shows_everything_but_the_key(self, as_alice: APIClient):
        response = as_alice.post(PROVIDERS, SOUND, format="json")

        assert response.status_code == 201
        told = response.json()
        assert told.pop("id")
        assert told.pop("created")
        assert told == {
            "name": "openai",
            "base_url": "https://api.openai.com/v1",
            "dialect": "openai",
            "cost": "",
            "key_hint": "cret",
            "is_shared": False,
            "is_own": True,
        }

    def test_never_shows_the_key_again(self, as_alice: APIClient):
        made = as_alice.post(PROVIDERS, SOUND, format="json")

        listed = as_alice.get(PROVIDERS)
        alone = as_alice.get(f"{PROVIDERS}/{made.json()['id']}")

        assert listed.json() == [alone.json()] == [made.json()]
        for answer in (made, listed, alone):
            assert CANARY not in answer.content.decode()

    def test_keeps_the_key_encrypted(self, as_alice: APIClient):
        as_alice.post(PROVIDERS, SOUND, format="json")

        assert CANARY not in in_the_database()
        assert vault.opened(Provider.objects.get().sealed_key) == CANARY

    def test_of_the_same_key_looks_different_each_time(self, alice: User, bob: User):
        assert kept(alice).sealed_key != kept(bob).sealed_key

    def test_hints_at_no_short_key(self, as_alice: APIClient):
        response = as_alice.post(PROVIDERS, SOUND | {"key": "only-12-long"}, format="json")

        assert response.json()["key_hint"] == ""

    @pytest.mark.parametrize(
        ("given", "stored"),
        [
            ("api.openai.com/v1/", "https://api.openai.com/v1"),
            ("HTTPS://API.OpenAI.com:443/v1", "https://api.openai.com/v1"),
            ("https://host.example", "https://host.example"),
            ("https://host.example/my%20models", "https://host.example/my%20models"),
            ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ],
    )
    def test_writes_the_url_in_one_way(self, as_alice: APIClient, given: str, stored: str):
        response = as_alice.post(PROVIDERS, SOUND | {"base_url": given}, format="json")

        assert response.status_code == 201
        assert response.json()["base_url"] == stored

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": None}, "name"),
            ({"name": "Open"}, "name"),
            ({"name": "1st"}, "name"),
            ({"name": "-a"}, "name"),
            ({"name": "a.b"}, "name"),
            ({"name": "a/b"}, "name"),
            ({"name": "a:b"}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "\ud800"}, "name"),
            ({"name": "a" * 41}, "name"),
            ({"name": "default"}, "name"),
            ({"name": "preview"}, "name"),
            ({"name": "https"}, "name"),
            ({"base_url": ""}, "base_url"),
            ({"base_url": "no url"}, "base_url"),
            ({"base_url": "ftp://host.example"}, "base_url"),
            ({"base_url": "http://host.example/v1"}, "base_url"),
            ({"base_url": "https://host.example:8443/v1"}, "base_url"),
            ({"base_url": "https://10.0.0.1/v1"}, "base_url"),
            ({"base_url": "https://[::1]/v1"}, "base_url"),
            ({"base_url": "https://169.254.169.254/"}, "base_url"),
            ({"base_url": "https://me:secret@host.example/v1"}, "base_url"),
            ({"base_url": "https://host.example/v1?key=1"}, "base_url"),
            ({"base_url": "https://host.example/v1/../x"}, "base_url"),
            ({"base_url": "https://testserver/api/v1/proxy/default"}, "base_url"),
            ({"base_url": "https://host.example/" + "ü" * 200}, "base_url"),
            ({"base_url": "https://host.example/\ud800"}, "base_url"),
            ({"base_url": ["https://host.example"]}, "base_url"),
            ({"base_url": "https://host.example/v1beta", "dialect": "gemini"}, "base_url"),
            ({"dialect": "soap"}, "dialect"),
            ({"key": ""}, "key"),
            ({"key": None}, "key"),
            ({"key": f"{CANARY} {CANARY}"}, "key"),
            ({"key": f"{CANARY}\r\nX-Evil: 1"}, "key"),
            ({"key": f"{CANARY}ü"}, "key"),
            ({"key": CANARY * 100}, "key"),
            ({"is_shared": "perhaps"}, "is_shared"),
        ],
    )
    def test_of_what_is_not_sound_is_refused(
        self, as_alice: APIClient, change: dict[str, Any], field: str
    ):
        body = json.dumps(SOUND | change)

        response = as_alice.post(PROVIDERS, body, content_type="application/json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == [field]
        assert CANARY not in response.content.decode()
        assert not Provider.objects.exists()

    @pytest.mark.parametrize("field", ["name", "base_url", "key"])
    def test_needs_a_name_a_url_and_a_key(self, as_alice: APIClient, field: str):
        body = {name: value for name, value in SOUND.items() if name != field}

        assert as_alice.post(PROVIDERS, body, format="json").status_code == 400

    def test_with_a_field_that_there_is_not_is_refused(self, as_alice: APIClient):
        response = as_alice.post(PROVIDERS, SOUND | {"owner": 1}, format="json")

        assert response.status_code == 400
        assert response.json()["message"].startswith("Unknown field.")

    def test_of_a_name_in_use_is_a_conflict(self, as_alice: APIClient):
        as_alice.post(PROVIDERS, SOUND, format="json")

        response = as_alice.post(PROVIDERS, SOUND | {"key": "another"}, format="json")

        assert response.status_code == 409
        assert response.json()["error"] == "conflict_error"
        assert Provider.objects.count() == 1

    def test_of_one_name_is_free_to_each(self, as_alice: APIClient, as_bob: APIClient):
        assert as_alice.post(PROVIDERS, SOUND, format="json").status_code == 201
        assert as_bob.post(PROVIDERS, SOUND, format="json").status_code == 201

    def test_has_a_limit(self, as_alice: APIClient, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("proxy.models.provider.MOST_PROVIDERS", 1)
        as_alice.post(PROVIDERS, SOUND, format="json")

        response = as_alice.post(PROVIDERS, SOUND | {"name": "second"}, format="json")

        assert response.status_code == 409

    def test_of_a_private_address_is_for_the_operator_to_allow(
        self, as_alice: APIClient, provider: FakeProvider
    ):
        body = SOUND | {"base_url": f"{provider.url}/v1"}

        assert as_alice.post(PROVIDERS, body, format="json").status_code == 201


class TestSharing:
    def test_is_for_staff_alone(self, as_alice: APIClient):
        response = as_alice.post(PROVIDERS, SOUND | {"is_shared": True}, format="json")

        assert response.status_code == 403
        assert response.json()["error"] == "permission_error"
        assert not Provider.objects.exists()

    def test_makes_a_provider_visible_to_everybody(self, as_staff: APIClient, as_bob: APIClient):
        made = as_staff.post(PROVIDERS, SOUND | {"is_shared": True}, format="json").json()

        (listed,) = as_bob.get(PROVIDERS).json()

        assert listed == made | {"is_own": False, "key_hint": ""}
        assert as_bob.get(f"{PROVIDERS}/{made['id']}").json() == listed

    def test_lets_nobody_else_delete(self, as_bob: APIClient, staff: User):
        shared = kept(staff, is_shared=True)

        response = as_bob.delete(f"{PROVIDERS}/{shared.pk}")

        assert response.status_code == 403
        assert Provider.objects.exists()

    def test_of_one_name_is_for_one(self, as_staff: APIClient, alice: User):
        kept(alice, "openai", is_shared=True)

        response = as_staff.post(PROVIDERS, SOUND | {"is_shared": True}, format="json")

        assert response.status_code == 409


class TestWhoseItIs:
    @pytest.mark.parametrize("method", ["get", "delete"])
    def test_a_strangers_is_answered_as_if_it_did_not_exist(
        self, as_staff: APIClient, alice: User, method: str
    ):
        stored = kept(alice)

        foreign = getattr(as_staff, method)(f"{PROVIDERS}/{stored.pk}")
        missing = getattr(as_staff, method)(f"{PROVIDERS}/{MISSING}")

        assert foreign.status_code == missing.status_code == 404
        assert foreign.content == missing.content
        assert foreign.headers == missing.headers
        assert Provider.objects.filter(pk=stored.pk).exists()

    def test_a_strangers_is_in_no_list(self, as_bob: APIClient, alice: User):
        kept(alice)

        assert as_bob.get(PROVIDERS).json() == []

    def test_ones_own_can_be_deleted(self, as_alice: APIClient, alice: User):
        stored = kept(alice)

        assert as_alice.delete(f"{PROVIDERS}/{stored.pk}").status_code == 204
        assert not Provider.objects.exists()

    def test_an_account_takes_its_providers_along(self, alice: User):
        kept(alice)

        alice.delete()

        assert not Provider.objects.exists()

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_a_stranger_learns_nothing(self, method: str):
        response = getattr(APIClient(), method)(PROVIDERS)

        assert response.status_code == 401

    def test_a_key_with_a_list_of_hosts_stores_no_other(self, alice: User):
        client = APIClient()
        _, text = ApiKey.make(alice, name="one", scopes=["proxy"], allowed_hosts=["api.openai.com"])
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        other = SOUND | {"name": "other", "base_url": "https://host.example/v1"}

        assert client.post(PROVIDERS, SOUND, format="json").status_code == 201
        refused = client.post(PROVIDERS, other, format="json")

        assert refused.status_code == 403
        assert refused.json()["error"] == "permission_error"

    @pytest.mark.parametrize("path", [PROVIDERS, f"{PROVIDERS}/{MISSING}"])
    def test_a_key_without_the_scope_learns_nothing(self, alice: User, path: str):
        client = APIClient()
        _, text = ApiKey.make(alice, name="chats", scopes=["chat"])
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")

        assert client.get(path).status_code == 403


class TestByItsName:
    """A stored provider stands in the path of the proxy."""

    @pytest.fixture
    def at_provider(self, provider: FakeProvider) -> Callable[..., Provider]:
        def store(owner: User, behaviour: str = "", **fields: Any) -> Provider:
            url = f"{provider.url}/{behaviour}/v1" if behaviour else f"{provider.url}/v1"
            return kept(owner, base_url=url, **fields)

        return store

    @pytest.fixture
    def ask(self, http: requests.Session, server: str) -> Callable[..., requests.Response]:
        def post(name: str = "mine", **headers: str) -> requests.Response:
            url = f"{server}/api/v1/proxy/{name}/chat/completions"
            return http.post(url, json=completion(QUESTION), headers=headers)

        return post

    def test_a_provider_gets_the_request_with_the_stored_key(
        self, ask, at_provider, alice: User, provider: FakeProvider
    ):
        at_provider(alice)

        response = ask()

        assert response.status_code == 200
        assert response.json()["choices"]
        assert provider.last().path == "/v1/chat/completions"
        assert provider.last().headers["Authorization"] == f"Bearer {CANARY}"

    def test_a_provider_keeps_what_is_encoded_in_its_url(
        self, ask, as_alice: APIClient, provider: FakeProvider
    ):
        body = SOUND | {"name": "mine", "base_url": f"{provider.url}/my%20models/v1"}
        as_alice.post(PROVIDERS, body, format="json")

        assert ask().status_code == 200
        assert provider.last().path == "/my%20models/v1/chat/completions"

    def test_a_provider_lists_its_models(
        self, http: requests.Session, server: str, at_provider, alice: User
    ):
        at_provider(alice)

        listed = http.get(f"{server}/api/v1/proxy/mine/models").json()

        assert listed["data"] == [{"id": "gpt-test"}]

    def test_a_provider_is_streamed(self, sdk, server: str, at_provider, alice: User):
        at_provider(alice)

        stream = sdk(f"{server}/api/v1/proxy/mine").chat.completions.create(
            **completion(QUESTION), stream=True
        )

        said = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert "".join(said) == "Sourdough rises slowly."

    def test_a_shared_one_serves_everybody(
        self, ask, at_provider, staff: User, provider: FakeProvider
    ):
        at_provider(staff, is_shared=True)

        assert ask().status_code == 200
        assert provider.last().headers["Authorization"] == f"Bearer {CANARY}"

    def test_ones_own_goes_before_a_shared_one(
        self, ask, at_provider, alice: User, staff: User, provider: FakeProvider
    ):
        at_provider(staff, is_shared=True, key="shared-key")
        at_provider(alice, key="own-key")

        ask()

        assert provider.last().headers["Authorization"] == "Bearer own-key"

    def test_an_unknown_one_is_refused_with_a_way_out(self, ask):
        response = ask("unknown")

        assert response.status_code == 400
        error = response.json()["error"]
        assert error["code"] == "invalid_target"
        assert "POST /api/v1/providers" in error["message"]
        assert "unknown" not in response.text

    def test_a_strangers_is_refused_like_an_unknown_one(self, ask, at_provider, bob: User):
        at_provider(bob)

        assert ask("mine").json() == ask("unknown").json()

    def test_a_deleted_one_is_unknown_at_once(
        self, ask, at_provider, as_alice: APIClient, alice: User
    ):
        stored = at_provider(alice)
        assert ask().status_code == 200

        as_alice.delete(f"{PROVIDERS}/{stored.pk}")

        assert ask().status_code == 400

    def test_many_changed_by_one_statement_are_obeyed_at_once(self, ask, at_provider, alice: User):
        at_provider(alice)
        assert ask().status_code == 200

        Provider.objects.update(base_url="http://10.0.0.1/v1")

        assert ask().json()["error"]["code"] == "invalid_target"

    def test_one_stored_anew_is_used_at_once(
        self, ask, at_provider, alice: User, provider: FakeProvider
    ):
        at_provider(alice).delete()
        ask()
        at_provider(alice, key="second-key")

        ask()

        assert provider.last().headers["Authorization"] == "Bearer second-key"

    @pytest.mark.parametrize(("seconds", "status"), [(60, 200), (0, 400)])
    def test_it_is_read_once_in_the_time_that_the_operator_sets(
        self, ask, at_provider, alice: User, settings, seconds: float, status: int
    ):
        """Another process's change is seen when that time is over."""
        settings.AUTH_MEMORY_SECONDS = seconds
        at_provider(alice)
        ask()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE proxy_provider SET name = 'elsewhere'")

        assert ask().status_code == status

    def test_the_operators_list_is_asked_each_time(self, ask, at_provider, alice: User, settings):
        at_provider(alice)
        assert ask().status_code == 200

        settings.PROXY_ALLOWED_TARGETS = []

        assert ask().json()["error"]["code"] == "invalid_target"

    def test_a_key_of_the_callers_own_beside_it_is_refused(
        self, ask, at_provider, alice: User, provider: FakeProvider
    ):
        at_provider(alice)

        response = ask(**{"X-Upstream-Api-Key": "sk-other"})

        assert response.status_code == 400
        assert not provider.received

    def test_a_provider_is_spoken_to_in_the_dialect_of_the_path(
        self, ask, at_provider, alice: User, provider: FakeProvider
    ):
        """What it is stored with is what chats speak to it."""
        kept(alice, base_url=provider.url, dialect="anthropic")

        assert ask().status_code == 200
        assert provider.last().path == "/v1/chat/completions"
        assert provider.last().headers["Authorization"] == f"Bearer {CANARY}"

    @pytest.mark.parametrize(
        ("endpoint", "path", "shown"),
        [
            ("v1/messages", "/api/v1/messages", ("x-api-key", CANARY)),
            ("v1/responses", "/api/v1/responses", ("Authorization", f"Bearer {CANARY}")),
            ("chat/completions", "/api/v1/chat/completions", ("Authorization", f"Bearer {CANARY}")),
        ],
    )
    def test_one_host_is_spoken_to_in_several_dialects(
        self,
        http: requests.Session,
        server: str,
        alice: User,
        provider: FakeProvider,
        endpoint: str,
        path: str,
        shown: tuple[str, str],
    ):
        kept(alice, base_url=f"{provider.url}/api/v1")
        question = {"model": "m", "max_tokens": 9, "messages": QUESTION, "input": "Bread?"}

        http.post(f"{server}/api/v1/proxy/mine/{endpoint}", json=question)

        assert provider.last().path == path
        name, value = shown
        assert provider.last().headers[name] == value

    def test_a_gemini_provider_gets_the_stored_key_alone(
        self, http: requests.Session, server: str, alice: User, provider: FakeProvider
    ):
        """Google's clients always send a key of their own."""
        kept(alice, base_url=provider.url, dialect="gemini")

        response = http.post(
            f"{server}/api/v1/proxy/mine/v1beta/models/gemini-2.0-flash:generateContent?key=own",
            json=CONTENTS,
            headers={"x-goog-api-key": "own"},
        )

        assert response.status_code == 200
        assert provider.last().path == "/v1beta/models/gemini-2.0-flash:generateContent"
        assert provider.last().headers["x-goog-api-key"] == CANARY
        assert "own" not in provider.last().headers.values()

    def test_an_openai_provider_is_asked_in_geminis_dialect_with_one_version(
        self, http: requests.Session, server: str, at_provider, alice: User, provider: FakeProvider
    ):
        at_provider(alice)

        response = http.post(
            f"{server}/api/v1/proxy/mine/v1beta/models/gemini-2.0-flash:generateContent",
            json=CONTENTS,
        )

        assert response.status_code == 200
        assert provider.last().path == "/v1beta/models/gemini-2.0-flash:generateContent"
        assert provider.last().headers["x-goog-api-key"] == CANARY

    def test_the_usage_row_names_the_host(
        self, ask, at_provider, alice: User, provider: FakeProvider, rows
    ):
        at_provider(alice)
        ask()

        (row,) = rows()

        assert row.target == f"127.0.0.1:{provider.port}"

    @pytest.mark.parametrize("behaviour", ["", "fail/500", "stall", "cut", "redirect"])
    def test_its_key_is_in_no_log_and_no_answer(
        self,
        ask,
        at_provider,
        alice: User,
        bounds,
        caplog: pytest.LogCaptureFixture,
        behaviour: str,
    ):
        at_provider(alice, behaviour)
        for name in ("", "alchemyst", "proxy", "django", "uvicorn.error"):
            caplog.set_level(logging.DEBUG, logger=name)
        try:
            told = ask().text
        except requests.RequestException as error:
            told = str(error)

        assert CANARY not in told
        assert all(CANARY not in logging.Formatter().format(line) for line in caplog.records)

    def test_a_key_that_cannot_be_read_is_told_with_what_to_do(
        self, ask, at_provider, alice: User, settings, caplog: pytest.LogCaptureFixture
    ):
        at_provider(alice)
        settings.VAULT_KEYS = ["another key of thirty-two characters"]

        response = ask()

        assert response.status_code == 503
        assert response.json()["error"]["code"] == "key_unreadable"
        assert "Delete the provider" in response.json()["error"]["message"]
        assert response.headers["x-should-retry"] == "false"
        assert "ALCHEMYST_VAULT_KEY" in caplog.text
        assert "Traceback" not in caplog.text


class TestTheVault:
    OLD, NEW = "old-" + "o" * 32, "new-" + "n" * 32

    def test_reads_with_every_key_and_writes_with_the_first(self, settings):
        settings.VAULT_KEYS = [self.OLD]
        old = vault.sealed(CANARY)
        settings.VAULT_KEYS = [self.NEW, self.OLD]
        new = vault.sealed(CANARY)

        assert vault.opened(old) == CANARY
        settings.VAULT_KEYS = [self.NEW]
        assert vault.opened(new) == CANARY
        with pytest.raises(KeyUnreadable):
            vault.opened(old)

    def test_is_rotated_by_a_command(self, settings, alice: User, capsys):
        settings.VAULT_KEYS = [self.OLD]
        stored = kept(alice)
        settings.VAULT_KEYS = [self.NEW, self.OLD]

        call_command("rotate_vault")

        assert capsys.readouterr().out == "Encrypted with the first key: 1.\n"
        settings.VAULT_KEYS = [self.NEW]
        stored.refresh_from_db()
        assert vault.opened(stored.sealed_key) == CANARY

    def test_names_what_it_cannot_rotate(self, settings, alice: User):
        settings.VAULT_KEYS = [self.OLD]
        kept(alice)
        settings.VAULT_KEYS = [self.NEW]

        with pytest.raises(CommandError, match="alice/mine"):
            call_command("rotate_vault")

    def test_with_its_key_lost_still_tells_what_is_stored(
        self, settings, alice: User, as_alice: APIClient
    ):
        stored = kept(alice)
        settings.VAULT_KEYS = [self.NEW]

        assert as_alice.get(PROVIDERS).json()[0]["name"] == "mine"
        assert as_alice.delete(f"{PROVIDERS}/{stored.pk}").status_code == 204

    @pytest.mark.parametrize("keys", [["short"], ["k" * 32, "short"]])
    def test_starts_with_no_weak_key(self, settings, keys: list[str]):
        settings.VAULT_KEYS = keys

        assert [said for said in checks.unsafe_settings() if "ALCHEMYST_VAULT_KEY" in said]

    def test_starts_with_no_key_of_another_purpose(self, settings):
        settings.VAULT_KEYS = [settings.JWT_KEY]

        assert [said for said in checks.unsafe_settings() if "ALCHEMYST_VAULT_KEY" in said]

    def test_takes_its_keys_from_a_file(self, tmp_path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "vault").write_text("first, second,\n")
        monkeypatch.setenv("ALCHEMYST_VAULT_KEY_FILE", str(tmp_path / "vault"))

        assert env.secrets_in("ALCHEMYST_VAULT_KEY") == ["first", "second"]

    def test_does_not_take_a_comma_for_a_key(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("ALCHEMYST_VAULT_KEY", ",")

        with pytest.raises(ImproperlyConfigured):
            env.secrets_in("ALCHEMYST_VAULT_KEY")


class TestTheMemory:
    MEANT = StoredProvider(base_of(SOUND["base_url"]), "openai", CANARY)

    def test_shows_no_key(self):
        assert CANARY not in repr(self.MEANT)


class TestTheAdmin:
    LIST = "admin:proxy_provider_changelist"

    def test_shows_no_key(self, admin_client, alice: User):
        stored = kept(alice)

        for page in (
            admin_client.get(reverse(self.LIST)),
            admin_client.get(reverse("admin:proxy_provider_change", args=[stored.pk])),
        ):
            assert page.status_code == 200
            assert "…cret" in page.content.decode()
            assert CANARY not in page.content.decode()
            assert stored.sealed_key not in page.content.decode()

    def test_finds_providers_without_a_query_for_each(
        self, admin_client, alice: User, django_assert_max_num_queries
    ):
        for number in range(20):
            kept(alice, f"n{number}")

        with django_assert_max_num_queries(12):
            page = admin_client.get(reverse(self.LIST), {"q": "alice", "is_shared__exact": 0})

        assert "n19" in page.content.decode()

    def test_can_share_one_and_change_nothing_else(self, admin_client, alice: User):
        stored = kept(alice)
        url = reverse("admin:proxy_provider_change", args=[stored.pk])

        admin_client.post(url, {"is_shared": "on", "name": "x", "base_url": "https://x.example"})

        stored.refresh_from_db()
        assert stored.is_shared
        assert (stored.name, stored.base_url) == ("mine", SOUND["base_url"])

    def test_shares_one_name_once(self, admin_client, alice: User, bob: User):
        kept(bob, is_shared=True)
        stored = kept(alice)

        page = admin_client.post(
            reverse("admin:proxy_provider_change", args=[stored.pk]), {"is_shared": "on"}
        )

        assert "shared already" in page.content.decode()
        stored.refresh_from_db()
        assert not stored.is_shared

    def test_takes_no_key(self, admin_client):
        assert admin_client.get(reverse("admin:proxy_provider_add")).status_code == 403
