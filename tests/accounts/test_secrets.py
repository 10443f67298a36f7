"""What is secret stays out of logs and answers."""

from __future__ import annotations

import logging

import pytest

from tests.conftest import PASSWORD

AUTH = "/api/v1/auth"

pytestmark = pytest.mark.django_db


def test_no_password_token_or_key_is_logged(alice, anyone, sign_in, bearing, caplog):
    caplog.set_level(logging.DEBUG)
    pair = sign_in().json()
    client = bearing(pair["access"])

    key = client.post(f"{AUTH}/keys", {"name": "a", "scopes": ["chat"]}, format="json").json()[
        "key"
    ]
    bearing(key).get(f"{AUTH}/keys")
    bearing(f"{key}x").get(f"{AUTH}/keys")
    bearing(f"{pair['access']}x").get(f"{AUTH}/keys")
    anyone.post(f"{AUTH}/token/verify", {"token": key}, format="json")
    anyone.post(f"{AUTH}/token/refresh", {"refresh": pair["refresh"]}, format="json")
    anyone.post(f"{AUTH}/token/refresh", {"refresh": pair["refresh"]}, format="json")
    anyone.post(f"{AUTH}/logout", {"refresh": pair["refresh"]}, format="json")
    sign_in("alice", "wrong-horse-battery")

    for secret in (PASSWORD, "wrong-horse-battery", key, *pair.values(), alice.password):
        assert secret not in caplog.text


@pytest.mark.parametrize("path", ["token/refresh", "logout", "token/verify", "token", "register"])
def test_an_error_does_not_repeat_what_was_sent(anyone, path):
    secret = "s3cret-" * 5
    sent = {
        "username": f"{secret} {secret}",
        "password": [secret],
        "refresh": secret,
        "token": secret,
    }

    response = anyone.post(f"{AUTH}/{path}", sent, format="json")

    assert response.status_code in (400, 401)
    assert "s3cret" not in response.content.decode()
