"""Pages of the origins that the operator lists may call the proxy's path; no others may."""

from __future__ import annotations

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured

from alchemyst import env
from tests.fakes import FakeProvider
from tests.proxy.conftest import KEY

ORIGIN = "https://app.example.com"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,x-upstream-api-key",
}
SHOWN = {"X-Upstream-Api-Key": KEY, "Origin": ORIGIN}


@pytest.fixture
def url(server: str, provider: FakeProvider, settings) -> str:
    settings.PROXY_CORS_ORIGINS = ["https://other.example.com", ORIGIN]
    return f"{server}/api/v1/proxy/{provider.url}/plain/v1/files"


def test_a_preflight_needs_no_token(url: str, provider: FakeProvider):
    answer = requests.options(url, headers=PREFLIGHT)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert (
        answer.headers["access-control-allow-headers"]
        == PREFLIGHT["Access-Control-Request-Headers"]
    )
    assert not provider.received


def test_an_answer_may_be_read(http: requests.Session, url: str):
    answer = http.get(url, headers=SHOWN)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "*"
    assert "origin" in answer.headers["vary"]


def test_so_may_an_error(url: str):
    answer = requests.get(url, headers=SHOWN)

    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_options_that_are_no_preflight_go_up(
    http: requests.Session, url: str, provider: FakeProvider
):
    assert http.options(url, headers=SHOWN).status_code == 200
    assert provider.last().method == "OPTIONS"


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.com.evil", "null"])
def test_a_page_of_another_origin_may_not(http: requests.Session, url: str, origin: str):
    asked = requests.options(url, headers=PREFLIGHT | {"Origin": origin})
    answer = http.get(url, headers=SHOWN | {"Origin": origin})

    assert asked.status_code == 401
    for each in (asked, answer):
        assert "access-control-allow-origin" not in each.headers


def test_without_a_list_nothing_is_said(http: requests.Session, url: str, settings):
    settings.PROXY_CORS_ORIGINS = []

    answer = http.get(url, headers=SHOWN)

    assert "access-control-allow-origin" not in answer.headers
    assert requests.options(url, headers=PREFLIGHT).status_code == 401


@pytest.mark.parametrize("value", ["app.example.com", "https://a.example/path", "*", "https://*"])
def test_what_is_no_origin_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("ALCHEMYST_PROXY_CORS_ORIGINS", value)

    with pytest.raises(ImproperlyConfigured, match="origins"):
        env.origins("ALCHEMYST_PROXY_CORS_ORIGINS")
