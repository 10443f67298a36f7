"""Errors of ours in Google's shape, and keys that no log shows."""

from __future__ import annotations

import socket

import pytest
import requests

from alchemyst.logs import MaskingFormatter
from alchemyst.web.redaction import mask_path
from proxy.wire import gemini
from tests import nginx
from tests.fakes import FakeProvider
from tests.gemini import KEY, Ask, base_of, is_ours
from tests.proxy.conftest import CONTENTS

QUESTION = CONTENTS[-1:]


class TestOurErrors:
    @pytest.mark.parametrize(
        ("body", "names"),
        [
            (b"", "JSON"),
            (b"{", "JSON"),
            (b"[]", "JSON object"),
            (b"\xff\xfe", "JSON"),
            (b"{" + b'"a":[' * 100_000, "JSON"),
            ({}, "contents"),
            ({"contents": []}, "contents"),
            ({"contents": "Hi"}, "contents"),
            ({"contents": None}, "contents"),
            ({"contents": ["Hi"]}, "contents[0]"),
            ({"contents": [{"role": "robot", "parts": []}]}, "contents[0].role"),
            ({"contents": [{"role": ["user"], "parts": []}]}, "contents[0].role"),
            ({"contents": [{"parts": "Hi"}]}, "contents[0].parts"),
            ({"contents": [{"parts": ["Hi"]}]}, "contents[0].parts"),
            ({"contents": QUESTION, "generationConfig": []}, "generationConfig"),
            ({"contents": QUESTION, "generation_config": 1}, "generation_config"),
            ({"contents": QUESTION, "safetySettings": {}}, "safetySettings"),
            ({"contents": QUESTION, "safety_settings": "x"}, "safety_settings"),
            ({"contents": QUESTION, "systemInstruction": 5}, "systemInstruction"),
            ({"contents": QUESTION, "system_instruction": [1]}, "system_instruction"),
            ({"contents": QUESTION * 2001}, "2001"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_a_bad_body_is_400_and_says_where(
        self, ask_gemini: Ask, provider: FakeProvider, body, names: str
    ):
        answer = ask_gemini(body)

        assert is_ours(answer, 400, "INVALID_ARGUMENT")
        assert names in answer.json()["error"]["message"]
        assert not provider.received

    def test_a_missing_key_is_400_and_says_where_it_may_stand(
        self, ask_gemini: Ask, provider: FakeProvider
    ):
        answer = ask_gemini(headers={})

        assert is_ours(answer, 400, "INVALID_ARGUMENT")
        assert "x-goog-api-key" in answer.json()["error"]["message"]
        assert not provider.received

    def test_a_bad_token_is_401(self, server: str, provider: FakeProvider):
        url = f"{base_of(server, provider)}/v1beta/models/m:generateContent"

        assert is_ours(requests.post(url, json={}), 401, "UNAUTHENTICATED")

    def test_a_key_without_the_scope_is_403(self, http, server: str, provider: FakeProvider):
        made = http.post(
            f"{server}/api/v1/auth/keys", json={"name": "k", "scopes": ["chat"]}
        ).json()
        url = f"{base_of(server, provider)}/v1beta/models/m:generateContent"

        answer = requests.post(url, json={}, headers={"Authorization": f"Bearer {made['key']}"})

        assert is_ours(answer, 403, "PERMISSION_DENIED")

    def test_too_many_requests_are_429(self, ask_gemini: Ask, settings):
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"proxy": (1, 60)}
        ask_gemini()

        answer = ask_gemini()

        assert is_ours(answer, 429, "RESOURCE_EXHAUSTED")
        assert int(answer.headers["retry-after"]) > 0

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx refuses it by itself")
    def test_a_method_that_nobody_needs_is_405(self, http, server: str, provider: FakeProvider):
        url = f"{base_of(server, provider)}/v1/models/m"

        answer = http.request("TRACE", url, headers={"x-goog-api-key": KEY})

        assert is_ours(answer, 405, "INVALID_ARGUMENT")
        assert not provider.received

    def test_a_large_body_is_413(self, ask_gemini: Ask, settings):
        settings.PROXY_MAX_BODY = 100

        assert is_ours(ask_gemini(b" " * 200), 413, "INVALID_ARGUMENT")

    @nginx.DECODES_SLASHES
    def test_a_path_with_dot_segments_is_400(self, http, server: str, provider: FakeProvider):
        request = requests.Request("POST", "http://x", headers={"x-goog-api-key": KEY})
        prepared = http.prepare_request(request)
        prepared.url = f"{base_of(server, provider)}/v1beta/models/../files:generateContent"

        answer = http.send(prepared)

        assert is_ours(answer, 400, "INVALID_ARGUMENT")
        assert not provider.received

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_the_built_in_model_is_none_of_geminis(self, http, server: str, method: str):
        task = ":generateContent" if method == "POST" else ""

        answer = http.request(method, f"{server}/api/v1/proxy/default/v1beta/models/m{task}")

        assert is_ours(answer, 404, "NOT_FOUND")
        assert "chat/completions" in answer.json()["error"]["message"]

    def test_a_silent_provider_is_504(self, ask_gemini: Ask, bounds):
        assert is_ours(ask_gemini(behaviour="stall"), 504, "DEADLINE_EXCEEDED")

    def test_a_provider_that_nobody_listens_at_is_503s_kind(self, http, server: str, settings):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        settings.PROXY_ALLOWED_TARGETS = [f"127.0.0.1:{port}"]

        answer = http.post(
            f"{server}/api/v1/proxy/http://127.0.0.1:{port}/v1beta/models/m:generateContent",
            json={"contents": QUESTION},
            headers={"x-goog-api-key": KEY},
        )

        assert is_ours(answer, 502, "UNAVAILABLE")

    def test_a_fault_of_ours_is_500(self, ask_gemini: Ask, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(gemini, "read", None)

        assert is_ours(ask_gemini(), 500, "INTERNAL")


class TestTheLog:
    def test_names_the_task_and_no_key(self):
        path = "/api/v1/proxy/https://g.example/secret/v1beta/models/gemini-2.0:generateContent"

        assert mask_path(path) == (
            "/api/v1/proxy/https://g.example/~masked~/v1beta/models/gemini-2.0:generateContent"
        )

    @pytest.mark.parametrize(
        "behaviour", ["gemini", "gemini-fail/500", "gemini-cut", "stall", "redirect", "gzipped"]
    )
    @pytest.mark.parametrize("is_in_query", [True, False])
    def test_no_log_and_no_answer_shows_the_key(
        self,
        ask_gemini: Ask,
        bounds,
        caplog: pytest.LogCaptureFixture,
        behaviour: str,
        is_in_query: bool,
    ):
        caplog.set_level("DEBUG")
        canary = "canary-7Zq4-secret"
        query = f"?alt=sse&key={canary}" if is_in_query else "?alt=sse"
        shown = {} if is_in_query else {"x-goog-api-key": canary}

        answer = ask_gemini(
            task="streamGenerateContent", query=query, behaviour=behaviour, headers=shown
        )

        assert canary not in answer.text + str(answer.headers)
        formatter = MaskingFormatter()
        assert canary not in "\n".join(formatter.format(record) for record in caplog.records)
