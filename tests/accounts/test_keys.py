from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from alchemyst.accounts.models import SCOPES, ApiKey

KEYS = "/api/v1/auth/keys"
SOUND = {"name": "laptop", "scopes": ["proxy", "chat"]}

pytestmark = pytest.mark.django_db


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


class TestMaking:
    def test_shows_the_key_once_and_keeps_a_digest(self, as_alice, bearing):
        response = as_alice.post(KEYS, SOUND, format="json")

        assert response.status_code == 201
        text = response.json()["key"]
        assert text.startswith("alk_")
        assert text.startswith(response.json()["prefix"])
        assert len(text) == 47
        assert bearing(text).get(KEYS).status_code == 200
        assert text not in as_alice.get(KEYS).content.decode()
        stored = ApiKey.objects.values().get()
        assert text not in str(stored)
        assert stored["digest"] not in as_alice.get(KEYS).content.decode()

    def test_keeps_name_scopes_mode_and_end(self, as_alice, alice):
        end = in_days(30)
        body = SOUND | {"relevance": "lax", "expires_at": end.isoformat()}

        response = as_alice.post(KEYS, body, format="json")

        assert response.status_code == 201
        key = ApiKey.objects.get()
        assert (key.owner, key.name, key.relevance) == (alice, "laptop", "lax")
        assert key.scopes == ["proxy", "chat"]
        assert key.expires_at == end

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": None}, "name"),
            ({"name": "n" * 101}, "name"),
            ({"name": {}}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": "proxy"}, "scopes"),
            ({"scopes": ["proxy", "root"]}, "scopes"),
            ({"scopes": ["\ud800"]}, "scopes"),
            ({"scopes": [["proxy"]]}, "scopes"),
            ({"scopes": None}, "scopes"),
            ({"scopes": ["proxy"] * 1000}, "scopes"),
            ({"relevance": "fierce"}, "relevance"),
            ({"relevance": {"a": 1}}, "relevance"),
            ({"expires_at": "tomorrow"}, "expires_at"),
            ({"expires_at": 5}, "expires_at"),
            ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
            ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
            ({"expiresAt": "2099-01-01T00:00:00Z"}, "non_field_errors"),
            ({"\ud800": 1}, "non_field_errors"),
        ],
    )
    def test_refuses_what_is_wrong_and_names_it(self, as_alice, change, field):
        response = as_alice.post(KEYS, json.dumps(SOUND | change), content_type="application/json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == [field]
        assert not ApiKey.objects.exists()

    @pytest.mark.parametrize("missing", ["name", "scopes"])
    def test_refuses_what_is_incomplete(self, as_alice, missing):
        body = {name: value for name, value in SOUND.items() if name != missing}

        response = as_alice.post(KEYS, body, format="json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == [missing]

    def test_belongs_to_the_caller_whatever_the_body_says(self, as_alice, bob):
        response = as_alice.post(KEYS, SOUND | {"owner": bob.pk}, format="json")

        assert response.status_code == 400
        assert not ApiKey.objects.of(bob).exists()

    def test_hands_on_no_scope_that_the_caller_lacks(self, bearing, make_key):
        as_key = bearing(make_key("proxy"))

        assert as_key.post(KEYS, SOUND, format="json").status_code == 403
        body = SOUND | {"scopes": ["proxy"]}
        assert as_key.post(KEYS, body, format="json").status_code == 201

    def test_lets_no_key_outlive_the_one_that_made_it(self, bearing, make_key):
        as_key = bearing(make_key(expires_at=in_days(1)))

        assert as_key.post(KEYS, SOUND, format="json").status_code == 403
        longer = SOUND | {"expires_at": in_days(2).isoformat()}
        assert as_key.post(KEYS, longer, format="json").status_code == 403
        shorter = SOUND | {"expires_at": in_days(0.5).isoformat()}
        assert as_key.post(KEYS, shorter, format="json").status_code == 201

    def test_stops_at_so_many(self, as_alice, monkeypatch):
        monkeypatch.setattr("alchemyst.accounts.models.account.MOST_KEYS", 1)
        as_alice.post(KEYS, SOUND, format="json")

        response = as_alice.post(KEYS, SOUND, format="json")

        assert response.status_code == 409
        assert response.json()["error"] == "conflict_error"


class TestListing:
    def test_tells_ones_own_keys_newest_first(self, as_alice, as_bob):
        as_bob.post(KEYS, SOUND, format="json")
        for name in ("old", "new"):
            as_alice.post(KEYS, SOUND | {"name": name}, format="json")

        listed = as_alice.get(KEYS).json()

        assert [key["name"] for key in listed] == ["new", "old"]
        assert sorted(listed[0]) == [
            "allowed_hosts", "allowed_models", "cost", "created", "expires_at", "id", "keeps_chats",
            "last_used",
            "name", "prefix", "records", "relevance", "scopes",
        ]  # fmt: skip

    def test_tells_when_a_key_was_used_last(self, as_alice, bearing, make_key):
        text = make_key()
        assert as_alice.get(KEYS).json()[0]["last_used"] is None

        bearing(text).get(KEYS)

        assert as_alice.get(KEYS).json()[0]["last_used"] is not None


class TestDeleting:
    def test_ends_the_key_at_once(self, as_alice, bearing, make_key):
        as_key = bearing(make_key())
        [key] = as_key.get(KEYS).json()

        response = as_alice.delete(f"{KEYS}/{key['id']}")

        assert response.status_code == 204
        assert as_key.get(KEYS).status_code == 401

    def test_of_a_strangers_key_is_answered_as_if_it_did_not_exist(self, as_bob, make_key):
        make_key()
        key = ApiKey.objects.get()

        foreign = as_bob.delete(f"{KEYS}/{key.pk}")
        missing = as_bob.delete(f"{KEYS}/00000000-0000-4000-8000-000000000000")

        assert foreign.status_code == missing.status_code == 404
        assert foreign.content == missing.content
        assert foreign.headers == missing.headers
        assert ApiKey.objects.filter(pk=key.pk).exists()

    @pytest.mark.parametrize("key_id", ["1", "x", "%00", "..", "1" * 5000])
    def test_of_what_is_no_id_is_not_found(self, as_alice, key_id):
        response = as_alice.delete(f"{KEYS}/{key_id}")

        assert response.status_code == 404
        assert response.json()["error"] == "invalid_request_error"


def test_a_stranger_learns_nothing(anyone):
    for response in (anyone.get(KEYS), anyone.post(KEYS, SOUND, format="json")):
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"
        assert response.json()["error"] == "authentication_error"


def test_a_key_does_not_show_itself(alice):
    key, text = ApiKey.make(alice, name="laptop", scopes=SCOPES)

    for text_of_key in (str(key), repr(key)):
        assert text not in text_of_key
        assert key.digest not in text_of_key
