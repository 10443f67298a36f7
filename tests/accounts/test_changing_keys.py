"""What of an API key can be changed after it was made, and by whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from rest_framework.test import APIClient

from alchemyst.accounts.models import ApiKey
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

KEYS = "/api/v1/auth/keys"
ALL = {
    "name": "server",
    "scopes": ["proxy"],
    "relevance": "lax",
    "allowed_models": ["gpt-*"],
    "allowed_hosts": ["*.openai.com"],
    "records": "scores",
    "expires_at": "2099-01-01T00:00:00Z",
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(make_key) -> str:
    """The address of a key of Alice's with every scope."""
    make_key()
    return f"{KEYS}/{ApiKey.objects.get().pk}"


def url_of(text: str) -> str:
    return f"{KEYS}/{ApiKey.objects.for_secret(text).get().pk}"


class TestChanging:
    def test_sets_what_is_given_and_tells_the_key(self, as_alice: APIClient, url: str):
        response = as_alice.patch(url, ALL, format="json")

        assert response.status_code == 200
        assert ALL.items() <= response.json().items()
        assert as_alice.get(KEYS).json() == [response.json()]
        assert "key" not in response.json()

    @pytest.mark.parametrize("field", ALL)
    def test_leaves_what_is_not_given(self, as_alice: APIClient, url: str, field: str):
        before = as_alice.get(KEYS).json()[0]

        changed = as_alice.patch(url, {field: ALL[field]}, format="json").json()

        assert changed == before | {field: ALL[field]}

    def test_by_nothing_changes_nothing(self, as_alice: APIClient, url: str):
        before = as_alice.get(KEYS).json()[0]

        assert as_alice.patch(url, {}, format="json").json() == before

    def test_takes_limits_and_the_end_away_again(self, as_alice: APIClient, url: str):
        none = {"allowed_models": None, "allowed_hosts": None, "expires_at": None}
        as_alice.patch(url, ALL, format="json")

        response = as_alice.patch(url, none | {"relevance": "", "records": ""}, format="json")

        assert none.items() <= response.json().items()

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": None}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": ["root"]}, "scopes"),
            ({"relevance": "fierce"}, "relevance"),
            ({"records": "all"}, "records"),
            ({"allowed_models": "gpt"}, "allowed_models"),
            ({"allowed_hosts": ["api.*"]}, "allowed_hosts"),
            ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
            ({"expiresAt": "2099-01-01T00:00:00Z"}, "non_field_errors"),
            ({"owner": 1}, "non_field_errors"),
            ([], "non_field_errors"),
        ],
    )
    def test_refuses_what_is_wrong_and_keeps_the_key(
        self, as_alice: APIClient, url: str, change: Any, field: str
    ):
        before = ApiKey.objects.values().get()

        response = as_alice.patch(url, change, format="json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == [field]
        assert ApiKey.objects.values().get() == before

    def test_does_not_touch_what_the_program_writes(self, as_alice: APIClient, url: str):
        before = ApiKey.objects.values().get()

        as_alice.patch(url, {"id": "x", "prefix": "alk_x", "created": "2001-01-01"}, format="json")

        assert ApiKey.objects.values().get() == before

    def test_narrows_scopes_and_never_widens_them(self, as_alice: APIClient, url: str):
        assert as_alice.patch(url, {"scopes": ["chat", "proxy"]}, format="json").status_code == 200
        assert as_alice.patch(url, {"scopes": ["chat"]}, format="json").status_code == 200

        widened = as_alice.patch(url, {"scopes": ["chat", "proxy"]}, format="json")

        assert widened.status_code == 400
        assert "scopes" in widened.json()["details"]
        assert ApiKey.objects.get().scopes == ["chat"]

    def test_of_a_strangers_key_is_answered_as_if_it_did_not_exist(self, as_bob, url: str):
        foreign = as_bob.patch(url, {"name": "mine"}, format="json")
        missing = as_bob.patch(f"{KEYS}/00000000-0000-4000-8000-000000000000", {}, format="json")

        assert foreign.status_code == missing.status_code == 404
        assert foreign.content == missing.content
        assert ApiKey.objects.get().name == "laptop"

    def test_asks_for_a_token(self, anyone: APIClient, url: str):
        assert anyone.patch(url, {}, format="json").status_code == 401

    def test_is_no_way_to_read_one(self, as_alice: APIClient, url: str):
        assert as_alice.get(url).status_code == 405


class TestAKey:
    @pytest.mark.parametrize("name", ["allowed_models", "allowed_hosts"])
    def test_does_not_loosen_its_own_limits(self, bearing, make_key, name: str):
        text = make_key(**{name: ["a"]})

        for more in (None, ["b"]):
            response = bearing(text).patch(url_of(text), {name: more}, format="json")

            assert response.status_code == 403
            assert name in response.json()["message"]
        assert bearing(text).patch(url_of(text), {name: []}, format="json").status_code == 200

    def test_does_not_prolong_itself(self, bearing, make_key):
        end = datetime.now(UTC) + timedelta(days=1)
        text = make_key(expires_at=end)

        for later in (None, (end + timedelta(days=1)).isoformat()):
            response = bearing(text).patch(url_of(text), {"expires_at": later}, format="json")

            assert response.status_code == 403
        assert bearing(text).patch(url_of(text), {"name": "n"}, format="json").status_code == 200
        assert ApiKey.objects.get().expires_at == end

    def test_gives_no_other_key_what_it_lacks(self, bearing, make_key):
        text, other = make_key("proxy", allowed_hosts=["a"]), make_key("chat")

        client = bearing(text)

        assert client.patch(url_of(other), {"scopes": ["chat"]}, format="json").status_code == 403
        assert (
            client.patch(url_of(other), {"allowed_hosts": None}, format="json").status_code == 403
        )


def test_a_change_is_obeyed_by_the_next_request(
    server: str, http: requests.Session, provider: FakeProvider
):
    made = http.post(f"{server}{KEYS}", json={"name": "k", "scopes": ["proxy", "chat"]}).json()

    def ask() -> int:
        return requests.post(
            f"{server}/api/v1/proxy/{provider.url}/v1/sk-1/chat/completions",
            json=completion(HISTORY[-1:]),
            headers={"Authorization": f"Bearer {made['key']}"},
        ).status_code

    assert ask() == 200
    url = f"{server}{KEYS}/{made['id']}"
    assert http.patch(url, json={"allowed_models": ["gpt-other"]}).status_code == 200
    assert ask() == 403
    http.patch(url, json={"allowed_models": None})
    assert ask() == 200
    http.patch(url, json={"scopes": ["chat"]})
    assert ask() == 403
