"""Errors of ours in Anthropic's shape, by which its clients decide whether to try again."""

from __future__ import annotations

import json

import pytest
import requests

from proxy.common.errors import ApiError
from proxy.wire import anthropic
from tests import nginx
from tests.anthropic import KEY, MODEL, Ask, base_of, is_ours
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY

VERSION = {"anthropic-version": "2023-06-01"}
QUESTION = {"model": MODEL, "max_tokens": 9, "messages": HISTORY[-1:]}


class TestOurErrors:
    @pytest.mark.parametrize(
        ("body", "names"),
        [
            (b"", "JSON"),
            (b"[]", "JSON object"),
            (b"\xff\xfe", "JSON"),
            (b"{" + b'"a":[' * 100_000, "JSON"),
            ({}, "model"),
            ({"model": MODEL}, "messages"),
            (QUESTION | {"model": 5}, "model"),
            (QUESTION | {"messages": []}, "messages"),
            (QUESTION | {"messages": "Hi"}, "messages"),
            (QUESTION | {"messages": ["Hi"]}, "messages[0]"),
            (QUESTION | {"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
            (QUESTION | {"messages": [{"role": "user"}]}, "messages[0].content"),
            (QUESTION | {"messages": HISTORY[:1] * 2001}, "2001"),
            (b'{"model":"a","messages":[{"role":"user","content":"a"}],"model":"b"}', "once"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_a_bad_body_is_400_and_says_where(
        self, ask_anthropic: Ask, provider: FakeProvider, body, names: str
    ):
        answer = ask_anthropic(body)

        assert is_ours(answer, 400, "invalid_request_error")
        assert names in answer.json()["error"]["message"]
        assert not provider.received

    @pytest.mark.parametrize(
        "more", [{"max_tokens": -1}, {"system": 5}, {"tools": {}}, {"temperature": "x"}]
    )
    def test_what_is_for_the_provider_to_judge_is_no_error_of_ours(
        self, ask_anthropic: Ask, provider: FakeProvider, more
    ):
        assert ask_anthropic(QUESTION | more).status_code == 200
        assert provider.last().json == QUESTION | more

    def test_a_missing_key_is_400(self, http, server: str, provider: FakeProvider):
        url = f"{base_of(server, provider)}/v1/messages"

        answer = http.post(url.replace("/anthropic", ""), json=QUESTION, headers=VERSION)

        assert is_ours(answer, 400, "invalid_request_error")
        assert answer.json()["error"]["code"] == "invalid_target"
        assert not provider.received

    def test_a_bad_token_is_401_and_is_not_to_be_tried_again(
        self, server: str, provider: FakeProvider
    ):
        url = f"{base_of(server, provider)}/v1/messages"
        shown = VERSION | {"Authorization": "Bearer nonsense", "x-api-key": KEY}

        answer = requests.post(url, json=QUESTION, headers=shown)

        assert is_ours(answer, 401, "authentication_error")
        assert answer.headers["x-should-retry"] == "false"

    def test_a_key_without_the_scope_is_403(self, http, server: str, provider: FakeProvider):
        made = http.post(
            f"{server}/api/v1/auth/keys", json={"name": "k", "scopes": ["chat"]}
        ).json()
        shown = VERSION | {"Authorization": f"Bearer {made['key']}"}

        answer = requests.post(
            f"{base_of(server, provider)}/v1/messages", json=QUESTION, headers=shown
        )

        assert is_ours(answer, 403, "permission_error")

    def test_too_many_requests_are_429_with_the_time_to_wait(self, ask_anthropic: Ask, settings):
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"proxy": (1, 60)}
        ask_anthropic()

        answer = ask_anthropic()

        assert is_ours(answer, 429, "rate_limit_error")
        assert int(answer.headers["retry-after"]) > 0

    def test_a_large_body_is_413(self, ask_anthropic: Ask, settings):
        settings.PROXY_MAX_BODY = 100

        assert is_ours(ask_anthropic(b" " * 200), 413, "request_too_large")

    def test_what_administers_an_organisation_is_403(
        self, http, server: str, provider: FakeProvider
    ):
        url = f"{base_of(server, provider)}/v1/organizations/users"

        answer = http.get(url, headers=VERSION | {"x-api-key": KEY})

        assert is_ours(answer, 403, "permission_error")
        assert not provider.received

    @nginx.DECODES_SLASHES
    def test_a_path_with_dots_is_400(self, http, server: str, provider: FakeProvider):
        request = requests.Request("GET", "http://x", headers=VERSION | {"x-api-key": KEY})
        prepared = http.prepare_request(request)
        prepared.url = f"{base_of(server, provider)}/v1/messages/batches/../messages"

        assert is_ours(http.send(prepared), 400, "invalid_request_error")
        assert not provider.received

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (409, "conflict_error"),
            (413, "request_too_large"),
            (415, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ],
    )
    def test_have_the_type_of_their_status(self, status: int, kind: str):
        fault = ApiError("Why")
        fault.status = status

        body = json.loads(anthropic.error(fault))

        assert (body["type"], body["error"]["type"], body["error"]["message"]) == (
            "error",
            kind,
            "Why",
        )
        assert body["error"]["code"] == fault.code

    def test_in_a_stream_are_an_event_of_their_own(self):
        fault = ApiError("Why")

        event = anthropic.broken(fault, b"", b"")

        assert event == b"\n\nevent: error\ndata: " + anthropic.error(fault) + b"\n\n"
