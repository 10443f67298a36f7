"""Every route answers every method, with whatever body, and never by a fault of ours."""

from __future__ import annotations

import re

import pytest
import requests
from django.conf import LazySettings
from django.test import Client

from alchemyst.accounts.models import SCOPES, ApiKey, User
from chats.streaming import routes as streaming
from tests.routes import routes
from tests.rows import own_rows

METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "BREW", "PUT", "PATCH", "POST", "DELETE")
MISSING = "00000000-0000-7000-8000-000000000000"
PROXIED = (
    "",
    "default/chat/completions",
    "default/models",
    "nobody/v1beta/models/m:generateContent",
    "preview",
    "requests/req_0123456789abcdef00000001",
    "no/such/endpoint",
)


# An address of the API with a slash at its end is the same view as without.
ROUTES = [
    route
    for route in dict.fromkeys(routes())
    if "(?P" not in route and not (route.startswith("/api/") and route.endswith("/"))
]


def filled(route: str, rows: dict[str, str]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: rows.get(match[1], MISSING), route)


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("root", password="correct-horse-battery")


@pytest.fixture
def key(superuser: User) -> tuple[ApiKey, str]:
    return ApiKey.make(superuser, name="all", scopes=SCOPES)


@pytest.fixture
def rows(superuser: User, key: tuple[ApiKey, str]) -> dict[str, str]:
    """What fills a route's parameters, by their names: rows of the caller's own."""
    return own_rows(superuser) | {"key_id": str(key[0].pk)}


@pytest.fixture
def client(superuser: User, key: tuple[ApiKey, str]) -> Client:
    """Whoever may do everything, by page and by API."""
    client = Client(headers={"authorization": f"Bearer {key[1]}"}, raise_request_exception=False)
    client.force_login(superuser)
    return client


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_of_djangos_answers_every_method(
    client: Client, rows: dict[str, str], settings: LazySettings, route: str
):
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, (0, 1))
    path = filled(route, rows)
    answers = {
        method: client.generic(method, path, b"{}", content_type="application/json").status_code
        for method in METHODS
    }

    assert {method: status for method, status in answers.items() if status >= 500} == {}


@pytest.mark.parametrize(
    "path",
    [
        *(f"proxy/{path}" for path in PROXIED),
        *(f"chat{path}".replace("([^/]+)", MISSING) for path, _, _ in streaming.ENDPOINTS),
    ],
)
def test_a_route_beside_django_answers_every_method(http: requests.Session, server: str, path: str):
    answers = {
        method: http.request(method, f"{server}/api/v1/{path}", data=b"{}").status_code
        for method in METHODS
    }

    assert {method: status for method, status in answers.items() if status >= 500} == {}
