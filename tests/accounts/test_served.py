"""The accounts and the proxy's path in one server, as people meet them."""

from __future__ import annotations

import requests

from alchemyst.accounts.models import User
from tests.conftest import PASSWORD

KEYS = "/api/v1/auth/keys"
MODELS = "/api/v1/proxy/default/models"


def test_what_opens_the_api_opens_the_proxy_until_it_ends(server: str, alice: User) -> None:
    with requests.Session() as session:
        session.trust_env = False
        credentials = {"username": "alice", "password": PASSWORD}
        pair = session.post(f"{server}/api/v1/auth/token", json=credentials).json()
        session.headers["Authorization"] = f"Bearer {pair['access']}"
        before = [session.get(f"{server}{path}").status_code for path in (KEYS, MODELS)]

        refresh = {"refresh": pair["refresh"]}
        assert session.post(f"{server}/api/v1/auth/logout", json=refresh).status_code == 204

        after = [session.get(f"{server}{path}").status_code for path in (KEYS, MODELS)]
        assert before == [200, 200]
        assert after == [401, 401]


def test_each_path_refuses_in_its_own_shape(server: str) -> None:
    api = requests.get(f"{server}{KEYS}", timeout=10)
    proxy = requests.get(f"{server}{MODELS}", timeout=10)

    assert api.status_code == proxy.status_code == 401
    assert api.json()["error"] == "authentication_error"
    assert proxy.json()["error"]["type"] == "authentication_error"
    assert proxy.json()["error"]["code"] == "invalid_token"
