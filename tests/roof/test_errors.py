"""Under /api/ every error is JSON in the documented shape; pages stay pages."""

from __future__ import annotations

import pytest
import requests
from django.db import OperationalError
from django.test import Client

from alchemyst.accounts.auth.token_cache import cached_tokens

SHAPE = {"message", "error"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/api/v1/auth/nothing"])
def test_an_unknown_path_of_the_api_is_json(client: Client, path: str):
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer["content-type"] == "application/json"
    assert answer.json().keys() == SHAPE


@pytest.mark.django_db
def test_a_call_without_a_token_is_told_how_to_give_one(client: Client):
    assert "Authorization: Bearer" in client.get("/api/v1/chat/history").json()["message"]


@pytest.mark.django_db
def test_an_unknown_page_is_a_page(client: Client):
    answer = client.get("/nothing")

    assert answer.status_code == 404
    assert answer["content-type"].startswith("text/html")


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_over_the_apis_limit_is_413(http: requests.Session, server: str, is_chunked: bool):
    body = b"[" + b" " * 3_000_000 + b"]"
    data = iter([body]) if is_chunked else body

    answer = http.post(
        f"{server}/api/v1/auth/keys", data=data, headers={"content-type": "application/json"}
    )

    assert answer.status_code == 413
    assert answer.json()["error"] == "invalid_request_error"


def test_a_host_that_is_not_served_is_400(server: str):
    answer = requests.get(f"{server}/api/v1/auth/keys", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "evil.example" not in answer.text


def test_a_fault_of_ours_is_500_without_any_detail(
    http: requests.Session, server: str, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr("alchemyst.accounts.api.views.KeysView.get", fail)

    answer = http.get(f"{server}/api/v1/auth/keys")

    assert answer.status_code == 500
    assert answer.json().keys() == SHAPE
    assert "inside" not in answer.text


def test_every_answer_names_its_request(server: str):
    first, second = (requests.get(f"{server}/healthz").headers for _ in range(2))

    assert first["x-alchemyst-request-id"].startswith("req_")
    assert first["x-alchemyst-request-id"] != second["x-alchemyst-request-id"]


def test_a_database_that_is_down_is_503_and_worth_another_try(
    http: requests.Session, server: str, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **kwargs: object) -> None:
        raise OperationalError("secret-host refused")

    monkeypatch.setattr("alchemyst.accounts.api.views.KeysView.get", fail)
    monkeypatch.setattr("alchemyst.accounts.auth.authentication.jwt.user_of", fail)
    cached_tokens.forget()

    answers = [
        http.get(f"{server}/api/v1/auth/keys"),
        http.get(f"{server}/api/v1/proxy/default/models"),
    ]

    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "secret-host" not in answer.text


def test_a_page_is_503_while_the_database_is_down(
    alices: Client, server: str, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **kwargs: object) -> None:
        raise OperationalError("secret-host refused")

    cookies = {name: morsel.value for name, morsel in alices.cookies.items()}
    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", fail)

    answer = requests.get(f"{server}/chats", cookies=cookies)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "text/html" in answer.headers["content-type"]
    assert "secret-host" not in answer.text


@pytest.mark.django_db
def test_the_front_page_says_what_to_do_first(client: Client):
    page = client.get("/", headers={"host": "127.0.0.1:8000"}).content.decode()

    assert "http://127.0.0.1:8000/api/v1/proxy/default" in page
    assert 'href="/api/docs"' in page
