"""Which headers pass, up to a provider and down to a caller."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import pytest
import requests
from aiohttp import web
from multidict import CIMultiDict

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey, User
from proxy.upstream.headers import MOST_BYTES, MOST_FIELDS
from tests import nginx
from tests.fakes import FakeProvider, Received
from tests.fakes import completion as the_answer
from tests.proxy.conftest import HISTORY, completion

QUESTION = HISTORY[-1:]
Through = Callable[..., str]
Answers = Callable[..., None]


@pytest.fixture
def answers(provider: FakeProvider) -> Answers:
    """Has the provider answer with these headers, at `with-headers`."""

    def answer_with(*headers: tuple[str, str]) -> None:
        async def behaviour(request: web.Request, received: Received) -> web.Response:
            is_list = request.path.endswith("/models")
            body = {"object": "list", "data": [{"id": "gpt-test"}]} if is_list else the_answer()
            return web.Response(
                text=json.dumps(body), content_type="application/json", headers=CIMultiDict(headers)
            )

        provider.behaviours["with-headers"] = behaviour

    return answer_with


@pytest.fixture
def get_models(http: requests.Session, through: Through) -> Callable[[], requests.Response]:
    return lambda: http.get(f"{through('with-headers')}/models")


@pytest.fixture
def sent_up(token: str, through: Through, provider: FakeProvider) -> Callable[..., dict[str, str]]:
    """Sends headers as they are, and returns those that the provider got, in lower case."""

    def send(*headers: tuple[str, str]) -> dict[str, str]:
        parts = urlsplit(f"{through()}/models")
        lines = [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join([f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *lines])
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(f"{head}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            status = connection.recv(65536).split(b" ")[1]
        assert status == b"200"
        return {name.lower(): value for name, value in provider.last().headers.items()}

    return send


UP = {
    "Anthropic-Version": "2026-10-21",
    "Anthropic-Beta": "claude-code-20250219, thinking-binding-controls-2026-08-01,of-tomorrow",
    "Anthropic-Dangerous-Direct-Browser-Access": "true",
    "X-App": "cli",
    "X-Claude-Code-Session-Id": "1f0c",
    "X-Codex-Turn-Metadata": '{"turn": 1}',
    "Session-Id": "0199-a",
    "Thread-Id": "0199-b",
    "Originator": "codex_cli_rs",
    "OpenAI-Beta": "responses=v1",
    "OpenAI-Organization": "org-1",
    "X-Client-Request-Id": "c-1",
    "User-Agent": "claude-cli/2.1.197 (external, cli)",
    "X-Stainless-Retry-Count": "0",
    "HTTP-Referer": "https://app.example.com/",
    "X-Title": "An app",
    "X-OpenRouter-Categories": "cli-agent",
    "Idempotency-Key": "i-1",
}

DOWN = {
    "Request-Id": "req_011",
    "X-Request-Id": "up-1",
    "Retry-After": "17",
    "Retry-After-Ms": "17250",
    "X-Should-Retry": "true",
    "Anthropic-Ratelimit-Requests-Remaining": "49",
    "Anthropic-Ratelimit-Unified-5h-Utilization": "0.25",
    "Anthropic-Organization-Id": "o-1",
    "X-Ratelimit-Remaining-Tokens": "149984",
    "OpenAI-Processing-Ms": "17",
    "OpenAI-Version": "2020-10-01",
    "X-Codex-Primary-Used-Percent": "12.5",
}


class TestTheWayUp:
    @pytest.mark.parametrize("name", UP)
    def test_is_open_to(self, sent_up, name: str):
        assert sent_up((name, UP[name]))[name.lower()] == UP[name]

    @pytest.mark.parametrize(
        "name",
        [
            "Content_Type",
            "X_Title",
            "some.name",
            "HTTP2-Settings",
            "Max-Forwards",
            "TE",
            "Trailer",
            "Proxy-Authorization",
            "Proxy-Features",
            "Keep-Alive",
            "CDN-Loop",
            "Content-Digest",
            "X-Forwarded-Host",
        ],
    )
    def test_is_closed_to(self, sent_up, name: str):
        assert name.lower() not in sent_up((name, "a value"))

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx writes a Connection header of its own")
    def test_is_closed_to_what_the_caller_names_for_the_next_hop(self, sent_up):
        headers = sent_up(
            ("Connection", "keep-alive, OpenAI-Beta"), ("OpenAI-Beta", "x"), ("OpenAI-Project", "y")
        )

        assert "openai-beta" not in headers
        assert headers["openai-project"] == "y"

    @pytest.mark.parametrize(
        "name", ["OpenAI-Organization", "api-key", "X-Title", "anthropic-beta"]
    )
    def test_is_closed_to_a_value_with_a_token_of_ours(self, sent_up, alice: User, name: str):
        own_key, own_jwt = ApiKey.make(alice, name="x", scopes=["proxy"])[1], issue(alice).access

        for secret in (own_key, own_jwt):
            assert secret not in str(sent_up((name, f"before {secret} after")))

    @pytest.mark.parametrize("name", ["X-Upstream-Api-Key", "Authorization", "X-Api-Key"])
    def test_is_closed_to_a_second_key_whatever_the_operator_adds(
        self, sent_up, settings, name: str
    ):
        settings.PROXY_PASS_HEADERS = [name]

        headers = sent_up(("api-key", "k-1"), ("X-Upstream-Api-Key", "k-2"), ("X-Api-Key", "k-3"))

        shown = {headers.get(each) for each in ("authorization", "x-api-key", "api-key")}
        assert shown == {"Bearer k-3", None}
        assert "x-upstream-api-key" not in headers

    def test_is_open_to_a_jwt_of_somebody_else(self, sent_up):
        theirs = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ0aGVtIn0.c2lnbmF0dXJl"

        assert sent_up(("api-key", theirs))["api-key"] == theirs


class TestATokenOfOursInPlaceOfTheProvidersKey:
    @pytest.fixture(params=["API key", "access token", "refresh token"])
    def secret(self, request: pytest.FixtureRequest, alice: User) -> str:
        if request.param == "API key":
            return ApiKey.make(alice, name="x", scopes=["proxy"])[1]
        return getattr(issue(alice), request.param.partition(" ")[0])

    @pytest.mark.parametrize(
        ("path", "header"),
        [
            ("{url}/v1/{secret}/chat/completions", ""),
            ("{url}/v1/{encoded}/chat/completions", ""),
            ("{url}/v1/{secret}/sk-1/chat/completions", ""),
            ("{url}/v1/chat/completions", "X-Upstream-Api-Key"),
            ("{url}/v1beta/models/m:generateContent?key={secret}", ""),
            ("{url}/v1beta/models/m:generateContent?key=k&access_token={secret}", ""),
            ("{url}/v1beta/models/{secret}:generateContent?key=k", ""),
        ],
    )
    def test_is_refused_in_words_and_goes_nowhere(
        self,
        http: requests.Session,
        server: str,
        provider: FakeProvider,
        secret: str,
        path: str,
        header: str,
    ):
        encoded = quote("".join(f"%{ord(character):02X}" for character in secret), safe="")
        path = path.format(url=provider.url, secret=secret, encoded=encoded)
        headers = {header: secret} if header else {}

        answer = http.post(f"{server}/api/v1/proxy/{path}", json=completion(), headers=headers)

        error = answer.json()["error"]
        assert answer.status_code == 400
        assert error.get("status", error["code"]) in ("invalid_target", "INVALID_ARGUMENT")
        assert "This is an Alchemyst key, not your provider's" in error["message"]
        assert secret not in answer.text
        assert not provider.received

    def test_is_not_stored(self, http: requests.Session, server: str, secret: str):
        body = {"name": "mine", "base_url": "https://api.openai.com/v1", "key": secret}

        answer = http.post(f"{server}/api/v1/providers", json=body)

        assert answer.status_code == 400
        assert "This is an Alchemyst key" in answer.json()["details"]["key"][0]


class TestTheWayDown:
    @pytest.mark.parametrize("name", DOWN)
    def test_brings(self, answers: Answers, get_models, name: str):
        answers((name, DOWN[name]))

        assert get_models().headers[name] == DOWN[name]

    @pytest.mark.parametrize(
        "name",
        [
            "Set-Cookie",
            "Content-Security-Policy",
            "Permissions-Policy",
            "Referrer-Policy",
            "X-Frame-Options",
            "Strict-Transport-Security",
            "Access-Control-Allow-Origin",
            "Cross-Origin-Opener-Policy",
            "Clear-Site-Data",
            "Alt-Svc",
            "Speculation-Rules",
            "Expires",
            "Age",
            "Surrogate-Control",
            "CDN-Cache-Control",
            "Proxy-Status",
            "X_Underscored",
        ],
    )
    def test_is_closed_to(self, answers: Answers, get_models, name: str):
        answers((name, "of-theirs"))

        assert "of-theirs" not in str(get_models().headers)

    def test_is_closed_to_what_the_provider_names_for_this_hop(self, answers: Answers, get_models):
        answers(("Connection", "X-One, x-two"), ("X-One", "1"), ("X-Two", "2"), ("X-Three", "3"))

        headers = get_models().headers

        assert not {"x-one", "x-two"} & {name.lower() for name in headers}
        assert headers["x-three"] == "3"

    def test_makes_an_answer_its_callers_own(self, answers: Answers, get_models):
        answers(("Cache-Control", "public, max-age=3600"))

        assert get_models().headers["Cache-Control"] == "private, no-store"

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx has a bound of its own")
    @pytest.mark.parametrize(
        "headers",
        [
            [(f"X-Header-{number}", "1") for number in range(MOST_FIELDS + 1)],
            [("X-Large", "x" * (MOST_BYTES // 2)) for _ in range(2)],
        ],
        ids=["number", "size"],
    )
    def test_has_a_bound(self, answers: Answers, get_models, headers: list[tuple[str, str]]):
        answers(*headers)

        answer = get_models()

        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream_unreachable"

    def test_lets_as_many_headers_pass_as_providers_send(self, answers: Answers, get_models):
        answers(*[(f"X-Ratelimit-{number}", "x" * 100) for number in range(60)])

        answer = get_models()

        assert answer.status_code == 200
        assert answer.headers["X-Ratelimit-59"] == "x" * 100


@pytest.mark.parametrize(
    "path",
    [
        "proxy/default/models",
        "proxy/nobody-stored-this/models",
        "providers",
        "personas",
        "chat/history",
        "auth/keys",
        "usage",
    ],
)
def test_no_cache_may_keep_what_the_api_answers(http: requests.Session, server: str, path: str):
    assert http.get(f"{server}/api/v1/{path}").headers["Cache-Control"] == "private, no-store"
