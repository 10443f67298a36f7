"""Every route answers every method, with whatever body, and never by a fault of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from django.conf import LazySettings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from alchemyst.accounts.models import SCOPES, ApiKey, User
from chats.models import Chat, Generation, Message
from chats.streaming import routes as streaming
from personas.models import DEFAULT
from proxy.models import Provider

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


def routes_of(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes_of(pattern, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield route


# An address of the API with a slash at its end is the same view as without.
ROUTES = [
    route
    for route in dict.fromkeys(routes_of(get_resolver()))
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
    provider = Provider.sealed(
        superuser.pk, name="mine", base_url="https://api.example.com/v1", key="sk-1"
    )
    provider.take_name()
    chat = Chat.objects.create(owner=superuser, title="Tea")
    chat.bulk_append(
        [Message(role="user", content="Which?"), Message(role="assistant", content="Oolong")]
    )
    answer = chat.messages_on()[1]
    Generation.objects.create(
        owner=superuser,
        chat=chat,
        message=answer,
        state=Generation.State.COMPLETE,
        lease_until=timezone.now(),
    )
    return {
        "chat_id": str(chat.pk),
        "message_id": str(answer.pk),
        "key_id": str(key[0].pk),
        "provider_id": str(provider.pk),
        "slug": DEFAULT,
    }


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
