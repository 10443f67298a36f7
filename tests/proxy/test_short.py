"""A short request goes whole: leaving out would save next to nothing, and risks an answer."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest
import requests
from django.conf import LazySettings

from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

Through = Callable[..., str]
BODY = msgspec.json.format(msgspec.json.encode(completion()), indent=1)
# More than the conversation's tokens.
BELOW = 200

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ask(http: requests.Session, through: Through) -> Callable[..., requests.Response]:
    """Sends the conversation, with headers of ours."""

    def send(body: bytes = BODY, **headers: str) -> requests.Response:
        named = {f"X-Alchemyst-{name.title()}": value for name, value in headers.items()}
        return http.post(f"{through()}/chat/completions", data=body, headers=named)

    return send


def test_is_forwarded_byte_for_byte_and_the_header_says_why(
    ask, provider: FakeProvider, settings: LazySettings
):
    settings.PROXY_SHORT_TOKENS = BELOW

    context = ask().headers["x-alchemyst-context"]

    assert provider.last().body == BODY
    assert context.startswith("mode=strict; result=unchanged; kept=7; dropped=0; ")
    assert context.endswith("; reason=short")


def test_of_as_many_tokens_is_not_short(ask, provider: FakeProvider, settings: LazySettings):
    whole = ask(relevance="off").headers["x-alchemyst-context"]
    settings.PROXY_SHORT_TOKENS = int(re.findall(r"tokens-before=(\d+)", whole)[0])

    context = ask().headers["x-alchemyst-context"]

    assert "result=filtered; " in context
    assert "reason" not in context
    assert len(provider.last().json["messages"]) < len(HISTORY)


def test_still_leaves_out_what_it_excludes(ask, provider: FakeProvider, settings: LazySettings):
    settings.PROXY_SHORT_TOKENS = BELOW

    ask(exclude="2")

    assert HISTORY[2] not in provider.last().json["messages"]


def test_is_left_whole_where_its_cost_is_looked_at(
    ask, provider: FakeProvider, settings: LazySettings
):
    settings.PROXY_SHORT_TOKENS = BELOW

    context = ask(cost="balanced").headers["x-alchemyst-context"]

    assert provider.last().body == BODY
    assert context.endswith("; reason=short")


def test_in_shadow_is_not_said_to_become_shorter(ask, settings: LazySettings):
    settings.PROXY_SHORT_TOKENS = BELOW

    context = ask(relevance="shadow").headers["x-alchemyst-context"]

    assert "result=shadow; kept=7; dropped=0; " in context


def test_has_a_preview_of_what_would_be_left_out_of_a_longer_one(
    http: requests.Session, server: str, settings: LazySettings
):
    settings.PROXY_SHORT_TOKENS = BELOW

    preview = http.post(f"{server}/api/v1/proxy/preview", data=BODY).json()

    assert preview["short"] is True
    assert preview["totals"]["messages_after"] < len(HISTORY)


def test_that_is_none_has_a_preview_that_says_so(
    http: requests.Session, server: str, settings: LazySettings
):
    preview = http.post(f"{server}/api/v1/proxy/preview", data=BODY).json()
    settings.PROXY_SHORT_TOKENS = preview["totals"]["tokens_before"]

    assert http.post(f"{server}/api/v1/proxy/preview", data=BODY).json()["short"] is False


def test_is_short_on_the_playground_too(alices, settings: LazySettings):
    settings.PROXY_SHORT_TOKENS = 100_000

    page = alices.get("/playground?example=1").content.decode()

    assert "sent whole" in page
    assert "left out" in page


def test_of_which_nothing_would_go_is_not_said_to_be_short(alices, settings: LazySettings):
    settings.PROXY_SHORT_TOKENS = 100_000
    body = '{"model": "m", "input": "Why?", "previous_response_id": "resp_1"}'

    page = alices.post("/playground", {"text": body, "fresh": "1"}).content.decode()

    assert "all sent" in page
    assert "sent whole" not in page
