"""Whatever is wrong with a request is told as JSON, with the documented status, type and code."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import requests

from alchemyst.accounts.models import Limit
from tests import nginx
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

Through = Callable[..., str]
HI = [{"role": "user", "content": "Hi"}]


def error_of(response: requests.Response) -> dict[str, str]:
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "code", "param"}
    assert response.headers["x-alchemyst-request-id"]
    return body["error"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_request", None),
        (b"{", "invalid_request", None),
        (b"[]", "invalid_request", None),
        (b"null", "invalid_request", None),
        (b'"text"', "invalid_request", None),
        (b"\xff\xfe", "invalid_request", None),
        (b"{" + b'"a":[' * 100_000, "invalid_request", None),
        ({"messages": HI}, "invalid_request", "model"),
        ({"model": "m"}, "invalid_messages", "messages"),
        ({"model": 7, "messages": HI}, "invalid_request", "model"),
        ({"model": "", "messages": HI}, "invalid_request", "model"),
        ({"model": "m", "messages": []}, "invalid_messages", "messages"),
        ({"model": "m", "messages": {}}, "invalid_messages", "messages"),
        ({"model": "m", "messages": None}, "invalid_messages", "messages"),
        ({"model": "m", "messages": ["Hi"]}, "invalid_messages", "messages[0]"),
        ({"model": "m", "messages": [{"content": "x"}]}, "invalid_messages", "messages[0].role"),
        (
            {"model": "m", "messages": [{"role": "robot", "content": "x"}]},
            "invalid_messages",
            "messages[0].role",
        ),
        (
            {"model": "m", "messages": [{"role": ["user"], "content": "x"}]},
            "invalid_messages",
            "messages[0].role",
        ),
        (
            {"model": "m", "messages": [*HI, {"role": "user", "content": None}]},
            "invalid_messages",
            "messages[1].content",
        ),
        (
            {"model": "m", "messages": [{"role": "user", "content": 5}]},
            "invalid_messages",
            "messages[0].content",
        ),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{}]}]},
            "invalid_messages",
            "messages[0].content",
        ),
        (
            {"model": "m", "messages": [{"role": "assistant", "tool_calls": "x"}]},
            "invalid_messages",
            "messages[0].tool_calls",
        ),
        ({"model": "m", "messages": HI, "temperature": "hot"}, "invalid_request", "temperature"),
        ({"model": "m", "messages": HI, "top_p": []}, "invalid_request", "top_p"),
        (
            {"model": "m", "messages": HI, "frequency_penalty": {}},
            "invalid_request",
            "frequency_penalty",
        ),
        (
            {"model": "m", "messages": HI, "presence_penalty": True},
            "invalid_request",
            "presence_penalty",
        ),
        ({"model": "m", "messages": HI, "max_tokens": "many"}, "invalid_request", "max_tokens"),
        ({"model": "m", "messages": HI, "stream": "yes"}, "invalid_request", "stream"),
        ({"model": "m", "messages": HI * 2001}, "invalid_messages", "messages"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_bad_body_is_400(
    http: requests.Session, through: Through, provider: FakeProvider, body, code: str, param
):
    data = body if isinstance(body, bytes) else json.dumps(body)

    response = http.post(f"{through()}/chat/completions", data=data)

    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert not provider.received


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"temperature": "hot"},
            "Invalid type for 'temperature': expected a decimal, but got a string instead.",
        ),
        (
            {"max_tokens": [1]},
            "Invalid type for 'max_tokens': expected an integer or a decimal, but got an array "
            "instead.",
        ),
        (
            {"stream": 1},
            "Invalid type for 'stream': expected a boolean, but got an integer instead.",
        ),
        ({"model": None}, "Invalid type for 'model': expected a string, but got null instead."),
        ({"model": ""}, "'model' must not be empty."),
    ],
    ids=str,
)
def test_a_wrong_type_is_told_as_openai_tells_it(
    http: requests.Session, through: Through, fields, words: str
):
    response = http.post(f"{through()}/chat/completions", json=completion(HI) | fields)

    assert error_of(response)["message"] == words


@pytest.mark.parametrize(
    "field",
    [
        b'"max_tokens": -1',
        b'"max_tokens":0',
        b'"max_tokens": 4096.0',
        b'"max_completion_tokens": -1',
        b'"temperature": 2.5',
        b'"temperature":-1',
        b'"top_p": 1.01',
        b'"top_p": -0.1',
        b'"frequency_penalty": -3',
        b'"presence_penalty":  2.50',
        b'"top_p": null, "temperature": null, "max_tokens": null',
    ],
    ids=bytes.decode,
)
def test_a_value_that_a_provider_alone_may_refuse_is_passed_on_as_it_is(
    http: requests.Session, through: Through, provider: FakeProvider, alice, field: bytes
):
    # Whoever has a limit on tokens has the answer's bound read.
    Limit.objects.create(user=alice, tokens_per_day=10**9)
    body = b'{"model":"m",%b,"messages":[{"role":"user","content":"Hi"}]}' % field

    response = http.post(f"{through()}/chat/completions", data=body)

    assert response.status_code == 200
    assert provider.last().body == body


def test_a_lone_surrogate_is_answered_not_crashed_on(http: requests.Session, through: Through):
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}'

    response = http.post(f"{through()}/chat/completions", data=body)

    assert response.status_code == 400
    assert error_of(response)["code"] == "invalid_request"


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_over_the_limit_is_413(
    http: requests.Session, through: Through, provider: FakeProvider, settings, is_chunked: bool
):
    settings.PROXY_MAX_BODY = 100_000
    body = b"x" * 120_000

    response = http.post(f"{through()}/chat/completions", data=iter([body]) if is_chunked else body)

    assert response.status_code == 413
    assert error_of(response)["code"] == "request_too_large"
    assert not provider.received


@pytest.mark.not_behind(*nginx.WAYS, reason="nginx may lose a refusal that comes before the end")
def test_the_limit_on_bodies_is_32_mib(http: requests.Session, through: Through):
    blank = b" " * (33 * 1024 * 1024)

    response = http.post(f"{through()}/chat/completions", data=blank)

    assert response.status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_another_method_of_the_built_in_model_is_405(
    http: requests.Session, server: str, method: str
):
    response = http.request(method, f"{server}/api/v1/proxy/default/chat/completions")

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert error_of(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["", "x", "default", "default/audio/speech", "default/embeddings"])
def test_an_unknown_endpoint_is_404_and_names_the_known_one(
    http: requests.Session, server: str, path: str
):
    response = http.post(f"{server}/api/v1/proxy/{path}", json=completion())

    assert response.status_code == 404
    error = error_of(response)
    assert error["code"] == "not_found"
    assert "/chat/completions" in error["message"]


@pytest.mark.parametrize(
    "path",
    [
        "https://api.openai.com/chat/completions",
        "https://api.openai.com/v1/chat/completions",
        "https://api.anthropic.com/v1/messages",
        "http://localhost:11434/v1/messages",
        "https://api.openai.com/v1/embeddings",
    ],
)
def test_a_target_without_its_key_is_400_and_said_so(
    http: requests.Session, server: str, path: str
):
    response = http.post(f"{server}/api/v1/proxy/{path}", json=completion())

    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "invalid_target"
    assert "key is missing" in error["message"]


def test_a_query_in_the_target_is_400_and_said_so(http: requests.Session, server: str):
    target = "https://api.example.com/v1?version=2/sk-1"

    response = http.post(f"{server}/api/v1/proxy/{target}/chat/completions", json=completion())

    assert response.status_code == 400
    error = error_of(response)
    assert error["code"] == "invalid_target"
    assert "query" in error["message"]


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer nonsense", "Bearer a.b.c", "bearer alk_x"],
)
def test_a_wrong_token_is_401(server: str, header: str | None):
    headers = {} if header is None else {"Authorization": header}

    response = requests.post(
        f"{server}/api/v1/proxy/default/chat/completions", json=completion(), headers=headers
    )

    assert response.status_code == 401
    error = error_of(response)
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_token")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_without_the_scope_is_403(http: requests.Session, server: str):
    made = http.post(f"{server}/api/v1/auth/keys", json={"name": "k", "scopes": ["chat"]}).json()

    response = requests.post(
        f"{server}/api/v1/proxy/default/chat/completions",
        json=completion(),
        headers={"Authorization": f"Bearer {made['key']}"},
    )

    assert response.status_code == 403
    error = error_of(response)
    assert (error["type"], error["code"]) == ("permission_error", "insufficient_scope")


def test_too_many_requests_are_429_with_the_time_to_wait(
    http: requests.Session, through: Through, settings
):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"proxy": (2, 60)}
    url = f"{through()}/chat/completions"

    answers = [http.post(url, json=completion(HISTORY[-1:])) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error_of(answers[2])["code"] == "rate_limit_exceeded"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 120


def test_a_model_that_default_lacks_is_404(http: requests.Session, server: str):
    response = http.post(
        f"{server}/api/v1/proxy/default/chat/completions", json=completion(HISTORY[-1:])
    )

    assert response.status_code == 404
    error = error_of(response)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "alchemyst-ai/alchemyst-c1" in error["message"]


def test_a_fault_of_ours_is_500_without_any_detail(
    http: requests.Session, through: Through, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr("proxy.wire.openai.read", fail)

    response = http.post(f"{through()}/chat/completions", json=completion())

    assert response.status_code == 500
    error = error_of(response)
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "inside" not in response.text
    assert response.headers["x-should-retry"] == "false"
