"""One way for every dialect: a further one is a module and a line in the table."""

from __future__ import annotations

import json
from types import ModuleType

import pytest
import requests

from proxy import wire
from proxy.common.web.asgi import Scope
from proxy.wire import openai
from proxy.wire.dialect import Route
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

KEY = "sk-third-1"


def third() -> ModuleType:
    """OpenAI's format under another endpoint, with another header for the key."""
    made = ModuleType("third")
    made.__dict__.update(vars(openai))

    def route(path: str, scope: Scope) -> Route | None:
        target, found, _ = path.rpartition("/messages")
        return Route(target, "/messages", "messages", is_filtered=True) if found else None

    made.__dict__.update(
        NAME="third",
        claims=lambda path, scope: path.endswith("/messages"),
        route=route,
        credential=lambda key: ("X-Api-Key", key),
        error=lambda error: json.dumps({"type": "error", "said": error.message}).encode(),
    )
    return made


@pytest.fixture
def url(server: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(wire, "DIALECTS", (*wire.DIALECTS, third()))
    return f"{server}/api/v1/proxy/{provider.url}/v1/{KEY}/messages"


def test_a_third_one_is_filtered_forwarded_and_accounted(
    http: requests.Session, url: str, provider: FakeProvider, rows
):
    answer = http.post(url, json=completion())

    assert answer.status_code == 200
    assert provider.last().path == "/v1/messages"
    assert provider.last().headers["X-Api-Key"] == KEY
    assert provider.last().json["messages"] == HISTORY[:2] + HISTORY[4:]
    (row,) = rows()
    assert (row.endpoint, row.filtering, row.prompt_tokens) == ("messages", "filtered", 21)


def test_a_third_one_has_its_own_errors_before_and_behind_the_token(
    http: requests.Session, url: str
):
    assert http.post(url, data="{").json()["type"] == "error"
    assert requests.post(url).json()["type"] == "error"


def test_what_none_knows_goes_up_as_it_came(
    http: requests.Session, server: str, provider: FakeProvider
):
    answer = http.put(f"{server}/api/v1/proxy/{provider.url}/plain/v1/{KEY}/embeddings", data=b"x")

    assert answer.status_code == 200
    assert (provider.last().method, provider.last().body) == ("PUT", b"x")
