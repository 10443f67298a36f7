"""Nobody reaches what the operator did not open, however the address is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured

from proxy.errors import InvalidTarget
from proxy.options import allowed_targets
from proxy.upstream import ssrf_guard
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, Connected, completion

REFUSED_HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "1%32%37.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[100::1]",
]


def refusal(http: requests.Session, server: str, target: str) -> requests.Response:
    return http.post(
        f"{server}/api/v1/proxy/{target}/sk-1/chat/completions", json=completion(HISTORY[-1:])
    )


@pytest.mark.parametrize("host", REFUSED_HOSTS)
def test_an_inner_address_is_refused_in_every_spelling(
    http: requests.Session, server: str, connected: Connected, host: str
):
    answers = [
        refusal(http, server, f"{scheme}://{host}{port}/v1")
        for scheme, port in (("https", ""), ("http", ""), ("http", ":11434"))
    ]

    assert {answer.status_code for answer in answers} == {400}
    assert {answer.json()["error"]["code"] for answer in answers} == {"invalid_target"}
    assert {answer.json()["error"]["message"] for answer in answers} == {InvalidTarget.message}
    assert connected(80, 443, 11434) == set()


@pytest.mark.parametrize(
    "target",
    [
        "http://api.example.com/v1",
        "https://api.example.com:8443/v1",
        "http://api.example.com:443/v1",
        "https://localhost/v1",
        "https://localhost./v1",
        "https://LOCALHOST/v1",
    ],
)
def test_what_the_operator_did_not_list_is_refused_with_the_same_words(
    http: requests.Session, server: str, target: str
):
    answer = refusal(http, server, target)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == InvalidTarget.message


@pytest.mark.parametrize(
    "host", ["alchemyst.example.com", "chat.example.org", "ALCHEMYST.example.com."]
)
def test_a_target_that_is_this_very_server_is_refused(
    http: requests.Session, server: str, settings, host: str
):
    settings.ALLOWED_HOSTS = ["127.0.0.1", "alchemyst.example.com", ".example.org"]

    answer = refusal(http, server, f"https://{host}/api/v1/proxy/https://api.example.net/v1")

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == InvalidTarget.message


def test_an_allowed_target_that_is_this_very_server_is_refused(
    http: requests.Session, server: str, settings
):
    own = server.removeprefix("http://")
    settings.PROXY_ALLOWED_TARGETS = [own]

    answer = refusal(http, server, f"{server}/api/v1/proxy/default")

    assert answer.json()["error"]["message"] == InvalidTarget.message


def test_a_redirect_is_not_followed(
    http: requests.Session, through: Callable[..., str], provider: FakeProvider
):
    answer = http.post(
        f"{through('redirect')}/chat/completions",
        json=completion(HISTORY[-1:]),
        allow_redirects=False,
    )

    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert len(provider.received) == 1


def test_nothing_in_the_body_moves_the_target(
    http: requests.Session, through: Callable[..., str], provider: FakeProvider
):
    elsewhere = {"api_base": "http://127.0.0.1:1/v1", "base_url": "http://127.0.0.1:1/v1"}

    answer = http.post(
        f"{through()}/chat/completions", data=json.dumps(completion(HISTORY[-1:]) | elsewhere)
    )

    assert answer.status_code == 200
    assert provider.last().path == "/v1/chat/completions"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_a_public_address_is_public(address: str):
    assert ssrf_guard.is_public(ip_address(address))


@pytest.mark.parametrize(
    "word", ["localhost", "localhost:", "localhost:port", ":80", "127.1:80", "a:0"]
)
def test_a_list_of_targets_that_makes_no_sense_stops_the_start(word: str):
    with pytest.raises(ImproperlyConfigured, match="ALCHEMYST_PROXY_ALLOWED_TARGETS"):
        allowed_targets([word])
