"""An API key's own lists of models and hosts, kept on the proxy's path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from rest_framework.test import APIClient

from alchemyst.accounts.models import ApiKey
from proxy.models import Provider
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

KEYS = "/api/v1/auth/keys"
SOUND = {"name": "laptop", "scopes": ["proxy"]}
LISTS = ["allowed_models", "allowed_hosts"]
DEFAULT = {"model": "alchemyst-ai/alchemyst-c1", "messages": HISTORY[-1:]}

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(
    make_key: Callable[..., str], server: str, provider: FakeProvider
) -> Callable[..., requests.Response]:
    """Ask the provider by a key with these lists."""

    def post(target: str = "", body: Any = None, **lists: Any) -> requests.Response:
        return requests.post(
            f"{server}/api/v1/proxy/{target or f'{provider.url}/v1/sk-1'}/chat/completions",
            json=completion(HISTORY[-1:]) if body is None else body,
            headers={"Authorization": f"Bearer {make_key(**lists)}"},
        )

    return post


def error_of(response: requests.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["type"], error["code"]


class TestModels:
    @pytest.mark.parametrize(
        "allowed", [None, ["gpt-test"], ["other", "gpt-test"], ["gpt-*"], ["*"], ["gpt-test*"]]
    )
    def test_on_the_list_may_be_used(self, ask, allowed: list[str] | None):
        assert ask(allowed_models=allowed).status_code == 200

    @pytest.mark.parametrize(
        "allowed", [[], ["gpt"], ["gpt-test-2"], ["gpt-test-*"], ["GPT-test"], ["claude-*"]]
    )
    def test_on_no_list_are_refused(self, ask, provider: FakeProvider, allowed: list[str]):
        response = ask(allowed_models=allowed)

        assert error_of(response) == (403, "permission_error", "model_not_allowed")
        assert response.json()["error"]["param"] == "model"
        assert not provider.received

    def test_are_asked_of_the_built_in_model_too(self, ask):
        response = ask("default", DEFAULT, allowed_models=["gpt-*"])

        assert error_of(response) == (403, "permission_error", "model_not_allowed")

    @pytest.mark.parametrize(("model", "status"), [("gemini-2.0-flash", 200), ("gemini-3", 403)])
    @pytest.mark.parametrize("task", ["generateContent", "countTokens", "embedContent"])
    def test_in_the_path_are_asked_as_well(
        self, make_key, server: str, provider: FakeProvider, model: str, status: int, task: str
    ):
        key = make_key(allowed_models=["gemini-2*"])

        response = requests.post(
            f"{server}/api/v1/proxy/{provider.url}/v1beta/models/{model}:{task}",
            json={"contents": [{"parts": [{"text": "Hello"}]}]},
            headers={"Authorization": f"Bearer {key}", "x-goog-api-key": "own"},
        )

        assert response.status_code == status
        if status == 403:
            assert response.json()["error"]["status"] == "PERMISSION_DENIED"


class TestHosts:
    @pytest.mark.parametrize("allowed", [None, ["127.0.0.1"], ["a.example", "127.0.0.1:{port}"]])
    def test_on_the_list_may_be_asked(self, ask, provider: FakeProvider, allowed: list[str] | None):
        named = allowed and [entry.format(port=provider.port) for entry in allowed]

        assert ask(allowed_hosts=named).status_code == 200

    @pytest.mark.parametrize(
        "allowed", [[], ["api.openai.com"], ["127"], ["default"], ["127.0.0.1:443"]]
    )
    def test_on_no_list_are_refused(self, ask, provider: FakeProvider, allowed: list[str]):
        response = ask(allowed_hosts=allowed)

        assert error_of(response) == (403, "permission_error", "target_not_allowed")
        assert not provider.received

    @pytest.mark.parametrize("entry", ["*", "127.*", "127.0.0.1*", "*.0.0.1", "*0.0.1", "*."])
    def test_are_not_permitted_by_an_entry_that_is_no_whole_name(self, ask, entry: str):
        """Such as somebody wrote into the database: what looks right may fit a stranger's host."""
        assert error_of(ask(allowed_hosts=[entry]))[0] == 403

    @pytest.mark.parametrize(
        ("entry", "host", "code"),
        [
            ("*.openai.example", "api.openai.example", "invalid_request"),
            ("*.openai.example", "eu.api.openai.example", "invalid_request"),
            ("api.openai.example:443", "api.openai.example", "invalid_request"),
            ("*.openai.example", "openai.example", "target_not_allowed"),
            ("*.openai.example", "notopenai.example", "target_not_allowed"),
            ("*.openai.example", "api.openai.example.evil.test", "target_not_allowed"),
            ("api.openai*", "api.openai.evil.test", "target_not_allowed"),
        ],
    )
    def test_under_a_name_are_permitted_by_its_star(
        self, ask, settings, entry: str, host: str, code: str
    ):
        """What is permitted comes as far as the check of its body."""
        response = ask(f"https://{host}/v1/sk-1", ["no request"], allowed_hosts=[entry])

        assert response.json()["error"]["code"] == code

    def test_are_refused_before_the_body_is_read(self, ask):
        response = ask(body=["no request"], allowed_hosts=[])

        assert response.status_code == 403

    def test_have_the_built_in_model_among_them(self, ask):
        refused = ask("default", DEFAULT | {"model": "x"}, allowed_hosts=["api.openai.com"])
        allowed = ask("default", DEFAULT | {"model": "x"}, allowed_hosts=["default"])

        assert error_of(refused) == (403, "permission_error", "target_not_allowed")
        assert error_of(allowed) == (404, "invalid_request_error", "model_not_found")

    def test_count_behind_a_stored_name_too(self, ask, alice, provider: FakeProvider):
        stored = Provider(owner=alice, name="mine", base_url=f"{provider.url}/v1")
        stored.seal("sk-1")
        stored.save()

        assert ask("mine", allowed_hosts=["127.0.0.1"]).status_code == 200
        assert ask("mine", allowed_hosts=["mine"]).status_code == 403

    def test_keep_their_lists_of_models(self, make_key, server: str, provider: FakeProvider):
        response = requests.get(
            f"{server}/api/v1/proxy/{provider.url}/v1/sk-1/models",
            headers={"Authorization": f"Bearer {make_key(allowed_hosts=[])}"},
        )

        assert error_of(response) == (403, "permission_error", "target_not_allowed")


class TestMakingAKey:
    def test_with_lists_keeps_and_tells_them(self, as_alice: APIClient):
        hosts = ["API.OpenAI.com", "*.Example.com", "localhost:11434", "[::1]:8080", "default"]
        lists = {"allowed_models": ["gpt-*", "o3"], "allowed_hosts": hosts}

        made = as_alice.post(KEYS, SOUND | lists, format="json")

        assert made.status_code == 201
        listed = as_alice.get(KEYS).json()[0]
        assert listed["allowed_models"] == ["gpt-*", "o3"]
        assert listed["allowed_hosts"] == [host.lower() for host in hosts]

    @pytest.mark.parametrize(
        "host",
        ["*", "api.openai*", "api.*", "*.", "*.0.0.1", "*.openai.com:443", "api.openai.com.",
         "https://api.openai.com", "api.openai.com/v1", "api.openai.com:", "a..b", "bücher.example",
         "a b"],
    )  # fmt: skip
    def test_with_a_host_that_is_no_whole_name_is_refused(self, as_alice: APIClient, host: str):
        response = as_alice.post(KEYS, SOUND | {"allowed_hosts": [host]}, format="json")

        assert response.status_code == 400
        assert "*.example.com" in str(response.json()["details"]["allowed_hosts"])

    @pytest.mark.parametrize("name", LISTS)
    def test_without_a_list_permits_everything(self, as_alice: APIClient, name: str):
        assert as_alice.post(KEYS, SOUND, format="json").json()[name] is None

    @pytest.mark.parametrize("name", LISTS)
    def test_with_an_empty_list_keeps_it_empty(self, as_alice: APIClient, name: str):
        assert as_alice.post(KEYS, SOUND | {name: []}, format="json").json()[name] == []

    @pytest.mark.parametrize("name", LISTS)
    @pytest.mark.parametrize(
        "given", ["gpt-4", {"a": 1}, [""], [None], [1.5, []], ["a*b"], ["**"], ["*a"],
                  ["a" * 201], ["a"] * 101, ["a\x00"]],
    )  # fmt: skip
    def test_with_what_is_no_list_of_names_is_refused(
        self, as_alice: APIClient, name: str, given: Any
    ):
        response = as_alice.post(KEYS, SOUND | {name: given}, format="json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == [name]
        assert not ApiKey.objects.exists()


OWN = {"allowed_models": ["a", "b-*"], "allowed_hosts": ["a.example", "*.b.example"]}


class TestAKeyWithAList:
    @pytest.mark.parametrize(
        ("name", "entries"),
        [
            *(
                ("allowed_models", some)
                for some in (["a"], ["b-1"], ["b-*"], ["b-1*"], ["a", "b-2"])
            ),
            *(
                ("allowed_hosts", some)
                for some in (["a.example"], ["a.example:8080"], ["c.b.example"], ["*.b.example"],
                             ["*.c.b.example", "c.b.example:443"])
            ),
            ("allowed_models", []),
            ("allowed_hosts", []),
        ],
    )  # fmt: skip
    def test_makes_keys_with_some_of_it(self, bearing, make_key, name: str, entries: list[str]):
        client = bearing(make_key(**{name: OWN[name]}))

        assert client.post(KEYS, SOUND | {name: entries}, format="json").status_code == 201

    @pytest.mark.parametrize(
        ("name", "entries"),
        [
            *(("allowed_models", more) for more in (None, ["c"], ["b"], ["*"], ["b*"], ["a*"])),
            *(
                ("allowed_hosts", more)
                for more in (None, ["c.example"], ["b.example"], ["*.example"], ["*.a.example"],
                             ["a.example", "x.example:443"], ["default"])
            ),
        ],
    )  # fmt: skip
    def test_makes_no_key_with_more(self, bearing, make_key, name: str, entries: list[str] | None):
        client = bearing(make_key(**{name: OWN[name]}))

        response = client.post(KEYS, SOUND | {name: entries}, format="json")

        assert response.status_code == 403
        assert name in response.json()["message"]

    @pytest.mark.parametrize("name", LISTS)
    def test_makes_no_key_without_one(self, bearing, make_key, name: str):
        client = bearing(make_key(**{name: []}))

        assert client.post(KEYS, SOUND, format="json").status_code == 403

    @pytest.mark.parametrize("name", LISTS)
    def test_shows_it_in_the_admin(self, admin_client, make_key, name: str):
        make_key(**{name: ["gpt-shown"]})

        page = admin_client.get(f"/admin/accounts/apikey/{ApiKey.objects.get().pk}/change/")

        assert "gpt-shown" in page.content.decode()
