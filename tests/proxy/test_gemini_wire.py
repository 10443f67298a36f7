"""What goes up to Gemini and what comes down, byte for byte, and the errors that are ours."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests

from alchemyst.logs import MaskingFormatter, masked_path
from proxy.models import UsageRecord
from proxy.wire import gemini
from tests import gemini as fake
from tests.fakes import FakeProvider
from tests.gemini import base_of
from tests.proxy.conftest import HISTORY

KEY = "AIza-provider-1"
ROLES = {"user": "user", "assistant": "model"}
CONTENTS = [{"role": ROLES[said["role"]], "parts": [{"text": said["content"]}]} for said in HISTORY]
QUESTION = CONTENTS[-1:]
Ask = Callable[..., requests.Response]


@pytest.fixture
def ask(http: requests.Session, server: str, provider: FakeProvider) -> Ask:
    """Posts a body to a model's task; `headers` stand beside the token and the provider's key."""

    def ask(
        body: Any = None,
        task: str = "generateContent",
        *,
        behaviour: str = "gemini",
        version: str = "v1beta",
        query: str = "",
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        body = {"contents": QUESTION} if body is None else body
        data = body if isinstance(body, bytes) else json.dumps(body)
        url = f"{base_of(server, provider, behaviour)}/{version}/models/m:{task}{query}"
        shown = {"x-goog-api-key": KEY} if headers is None else headers
        return http.post(url, data=data, headers=shown, stream=True)

    return ask


def is_ours(answer: requests.Response, code: int, status: str) -> bool:
    """Whether an answer is an error of ours in Google's shape."""
    error = answer.json()["error"]
    return (
        answer.status_code == error["code"] == code
        and error["status"] == status
        and error.keys() == {"code", "message", "status"}
        and answer.headers["x-alchemyst-error-source"] == "proxy"
        and bool(error["message"])
    )


class TestTheWayUp:
    @pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
    @pytest.mark.parametrize("colon", [":", "%3A", "%3a"])
    def test_leads_to_the_task_in_every_version_and_spelling(
        self, http, server: str, provider: FakeProvider, version: str, colon: str
    ):
        url = f"{base_of(server, provider)}/{version}/models/m{colon}generateContent"

        http.post(url, json={"contents": QUESTION}, headers={"x-goog-api-key": KEY})

        assert provider.last().path == f"/gemini/{version}/models/m:generateContent"

    @pytest.mark.parametrize(
        "spelling", ["http://{}", "http:/{}", "http%3A%2F%2F{}", "HTTP:%2F%2F{}"]
    )
    def test_leads_to_the_target_in_every_spelling(
        self, http, server: str, provider: FakeProvider, spelling: str
    ):
        target = spelling.format(provider.url.removeprefix("http://"))

        http.post(
            f"{server}/api/v1/proxy/{target}/gemini/v1beta/models/m:generateContent/",
            json={"contents": QUESTION},
            headers={"x-goog-api-key": KEY},
        )

        assert provider.last().path == "/gemini/v1beta/models/m:generateContent"

    @pytest.mark.parametrize(
        "model",
        [
            "models/tunedModels/mine",
            "tunedModels/mine-1",
            "projects/p/locations/l/publishers/google/models/m",
            "models/a%2Fb%20c",
        ],
    )
    def test_keeps_a_models_path_as_it_came(
        self, http, server: str, provider: FakeProvider, model: str
    ):
        url = f"{base_of(server, provider)}/v1beta/{model}:generateContent"

        http.post(url, json={"contents": QUESTION}, headers={"x-goog-api-key": KEY})

        assert provider.last().path == f"/gemini/v1beta/{model}:generateContent"

    @pytest.mark.parametrize(
        ("headers", "query"),
        [
            ({"x-goog-api-key": KEY}, ""),
            ({"X-Upstream-Api-Key": KEY}, ""),
            ({}, f"?key={KEY}"),
            ({}, f"?k%65y={KEY}"),
            ({"x-goog-api-key": KEY}, "?key=another"),
        ],
    )
    def test_shows_the_key_in_one_header_alone(
        self, ask: Ask, provider: FakeProvider, token: str, headers, query: str
    ):
        ask(headers=headers, query=query)

        sent = {name.lower(): value for name, value in provider.last().headers.items()}
        assert sent["x-goog-api-key"] == KEY
        assert "authorization" not in sent
        assert "x-upstream-api-key" not in sent
        assert "key=" not in provider.last().path
        assert token not in str(sent)

    def test_keeps_the_rest_of_the_query_byte_for_byte(self, ask: Ask, provider: FakeProvider):
        ask(
            query=f"?$alt=json;enum-encoding=int&key={KEY}&prettyPrint=false&x=%2F+%20&&y",
            task="countTokens",
        )

        query = provider.last().path.partition("?")[2]
        assert query == "$alt=json;enum-encoding=int&prettyPrint=false&x=%2F+%20&&y"

    def test_carries_what_the_packages_tell_of_themselves(self, ask: Ask, provider: FakeProvider):
        told = {
            "x-goog-api-client": "google-genai-sdk/3.4.0",
            "x-goog-user-project": "project-1",
            "X-Server-Timeout": "30",
        }

        ask(headers={"x-goog-api-key": KEY, "x-goog-authenticated-user-email": "a@b.c"} | told)

        sent = {name.lower(): value for name, value in provider.last().headers.items()}
        assert all(sent[name.lower()] == value for name, value in told.items())
        assert "x-goog-authenticated-user-email" not in sent

    @pytest.mark.parametrize(
        "task", ["countTokens", "embedContent", "batchEmbedContents", "batchGenerateContent", "new"]
    )
    def test_carries_every_other_tasks_body_untouched(
        self, ask: Ask, provider: FakeProvider, task: str
    ):
        doubled = json.dumps(CONTENTS + CONTENTS).encode()
        body = b'{"contents" : %b , "requests": [], "n": 1.50}' % doubled

        answer = ask(body, task)

        assert answer.status_code == 200
        assert provider.last().body == body
        assert "x-alchemyst-context" not in answer.headers

    def test_carries_even_what_is_no_json_to_another_task(self, ask: Ask, provider: FakeProvider):
        ask(b"\xff{", "predict")

        assert provider.last().body == b"\xff{"

    def test_takes_lists_of_models_by_googles_key_or_version(
        self, http, server: str, provider: FakeProvider
    ):
        base = base_of(server, provider)
        shown = {"x-goog-api-key": KEY}

        listed = http.get(f"{base}/v1/models?pageSize=5", headers=shown).json()
        one = http.get(f"{base}/v1beta/models/gemini-test?key={KEY}").json()
        openais = http.get(f"{base}/v1/models", headers={"X-Upstream-Api-Key": "k"})

        assert listed["models"][0]["name"] == one["name"] == "models/gemini-test"
        assert provider.received[0].path == "/gemini/v1/models?pageSize=5"
        assert provider.received[1].path == "/gemini/v1beta/models/gemini-test"
        assert openais.status_code == 200
        assert provider.last().headers["Authorization"] == "Bearer k"

    def test_leads_to_a_stored_provider_with_its_key(
        self, http, server: str, provider: FakeProvider
    ):
        stored = {"name": "google", "base_url": f"{provider.url}/gemini", "dialect": "gemini"}
        made = http.post(f"{server}/api/v1/providers", json=stored | {"key": KEY})
        assert made.status_code == 201

        http.post(
            f"{server}/api/v1/proxy/google/v1beta/models/m:generateContent",
            json={"contents": QUESTION},
            headers={"x-goog-api-key": "a word that the package insists on"},
        )

        assert provider.last().path == "/gemini/v1beta/models/m:generateContent"
        assert provider.last().headers["x-goog-api-key"] == KEY

    def test_obeys_a_keys_list_of_models(self, ask: Ask, http, server: str, provider):
        limited = {"name": "k", "scopes": ["proxy"], "allowed_models": ["gemini-*"]}
        made = http.post(f"{server}/api/v1/auth/keys", json=limited).json()

        for task in ("generateContent", "countTokens"):
            shown = {"Authorization": f"Bearer {made['key']}", "x-goog-api-key": KEY}
            assert is_ours(ask(task=task, headers=shown), 403, "PERMISSION_DENIED")
        assert not provider.received

    def test_leaves_googles_openai_endpoints_to_openais_dialect(
        self, http, server: str, provider: FakeProvider
    ):
        for path in (f"v1beta/openai/{KEY}/chat/completions", f"v1beta/{KEY}/chat/completions"):
            answer = http.post(f"{server}/api/v1/proxy/{provider.url}/{path}", data="{}")

            assert answer.json()["error"].keys() == {"message", "type", "code", "param"}


class TestTheFilter:
    def test_replaces_the_contents_and_keeps_every_other_byte(
        self, ask: Ask, provider: FakeProvider
    ):
        kept = [
            b'{"role": "user",  "parts": [{"text": "How do I bake sourdough bread?", "x": 1.50}]}',
            b'{"parts":[{"text":"Mix flour and sourdough starter, bake the bread.",'
            b'"thought_signature": "c2ln"}],"role":"model"}',
        ]
        gone = json.dumps(CONTENTS[2:4])[1:-1].encode()
        rest = [json.dumps(content).encode() for content in CONTENTS[4:]]
        body = (
            b'{"generation_config": {"temperature": 0.70,  "seed":12345678901234567890},'
            b'"contents":[%b],"systemInstruction":{"parts":{"text":"Be brief."}},'
            b'"labels":{"a":"1"},"safetySettings":[ ],"toolConfig":{},"new":[1.0]}'
        ) % b",".join([*kept, gone, *rest])

        answer = ask(body)

        sent = provider.last().body
        assert sent == body.replace(b", " + gone, b"").replace(b"," + gone, b"").replace(
            b'"generation_config": {', b'"generation_config":{'
        )
        assert (
            "mode=very_strict; result=filtered; kept=5; dropped=2"
            in (answer.headers["x-alchemyst-context"])
        )
        assert "filter;dur=" in answer.headers["server-timing"]

    @pytest.mark.parametrize("mode", ["off", "very_strict"])
    def test_forwards_the_bytes_where_nothing_is_dropped(
        self, ask: Ask, provider: FakeProvider, mode: str
    ):
        contents = CONTENTS if mode == "off" else QUESTION
        body = json.dumps({"contents": contents}, indent=3).encode()

        ask(body, headers={"x-goog-api-key": KEY, "X-Alchemyst-Relevance": mode})

        assert provider.last().body == body

    @pytest.mark.parametrize("field", ["cachedContent", "cached_content"])
    def test_is_off_for_the_tail_of_cached_content(
        self, ask: Ask, provider: FakeProvider, field: str
    ):
        body = json.dumps({field: "cachedContents/1", "contents": CONTENTS}).encode()

        answer = ask(body)

        assert provider.last().body == body
        assert "result=off; kept=7; dropped=0" in answer.headers["x-alchemyst-context"]

    def test_is_undone_when_gemini_refuses_its_result(self, ask: Ask, provider: FakeProvider):
        answer = ask({"contents": CONTENTS}, behaviour="gemini-refuse-filtered")

        assert answer.status_code == 200
        assert [len(each.json["contents"]) for each in provider.received] == [5, 7]
        assert "result=undone" in answer.headers["x-alchemyst-context"]

    def test_obeys_pins_and_exclusions(self, ask: Ask, provider: FakeProvider):
        wish = {"X-Alchemyst-Pin": "2", "X-Alchemyst-Exclude": "first"}

        ask({"contents": CONTENTS}, headers={"x-goog-api-key": KEY} | wish)

        assert provider.last().json["contents"] == CONTENTS[2:]


class TestTheWayDown:
    @pytest.mark.parametrize("query", ["?alt=sse", ""])
    def test_a_stream_comes_byte_for_byte(self, ask: Ask, rows, query: str):
        answer = ask(task="streamGenerateContent", query=query)

        sent = b"".join(fake.as_events() if query else fake.as_array())
        assert answer.content == sent
        assert b"[DONE]" not in answer.content
        kind = "text/event-stream" if query else "application/json"
        assert answer.headers["content-type"].startswith(kind)
        (row,) = rows()
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (21, 7, 16)
        assert row.outcome == UsageRecord.Outcome.COMPLETE

    def test_a_whole_answer_comes_byte_for_byte(self, ask: Ask, rows):
        answer = ask()

        assert answer.json() == fake.answer({"text": fake.ANSWER}, finishReason="STOP")
        (row,) = rows()
        assert (row.endpoint, row.model, row.status) == ("generateContent", "m", 200)
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (21, 7, 16)

    @pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503, 504])
    def test_an_error_of_geminis_comes_with_its_details(self, ask: Ask, status: int):
        answer = ask(behaviour=f"gemini-fail/{status}")

        assert answer.status_code == status
        assert answer.json() == fake.failure(status)
        assert "retry-after" not in answer.headers

    def test_a_blocked_prompt_stays_an_answer_without_candidates(
        self, ask: Ask, provider: FakeProvider
    ):
        blocked = b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{}}'

        answer = ask(blocked, "predict")

        assert (answer.status_code, answer.content) == (200, blocked)

    def test_an_event_stream_that_breaks_ends_with_an_error_event(self, ask: Ask, rows):
        answer = ask(task="streamGenerateContent", query="?alt=sse", behaviour="gemini-cut")

        first, last = answer.content.strip().rsplit(b"\n\n", 1)
        assert first.strip() == fake.as_events()[0].strip()
        error = json.loads(last.removeprefix(b"data: "))["error"]
        assert (error["code"], error["status"]) == (502, "UNAVAILABLE")
        assert rows()[0].outcome == UsageRecord.Outcome.BROKEN

    @pytest.mark.parametrize(("where", "count"), [("nothing", 0), ("element", 1), ("comma", 1)])
    def test_an_array_that_breaks_between_elements_ends_with_an_error_element(
        self, ask: Ask, rows, where: str, count: int
    ):
        answer = ask(task="streamGenerateContent", behaviour=f"gemini-cut/{where}")

        *elements, last = answer.json()
        assert elements == fake.chunks()[:count]
        assert last["error"]["status"] == "UNAVAILABLE"
        assert rows()[0].outcome == UsageRecord.Outcome.BROKEN

    def test_an_array_that_breaks_within_an_element_is_cut(self, ask: Ask):
        answer = ask(task="streamGenerateContent", behaviour="gemini-cut/inside")

        with pytest.raises(
            (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)
        ):
            assert answer.content

    @pytest.mark.parametrize(
        ("tail", "is_closed"),
        [
            (b'[{"candidates":[]}', True),
            (b'[{"candidates":[]},', True),
            (b'"text":"x"}]}]}\n,\n{\n "candidates": [{"a": "}"}]\n}\n', True),
            (b"[", True),
            (b"", False),
            (b'{"candidates":[]}', False),
            (b'[{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b"}', False),
            (b'[{"candidates":[]}]', False),
            (b'[{"candidates":[{"content":', False),
        ],
    )
    def test_an_array_is_closed_only_where_an_element_ended(self, tail: bytes, is_closed: bool):
        end = gemini.closing(tail, gemini.InvalidRequest("x"))

        assert (end is not None) == is_closed
        if end and tail.startswith(b"["):
            assert json.loads(tail + end)[-1]["error"]["message"] == "x"


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
        self, ask: Ask, provider: FakeProvider, body, names: str
    ):
        answer = ask(body)

        assert is_ours(answer, 400, "INVALID_ARGUMENT")
        assert names in answer.json()["error"]["message"]
        assert not provider.received

    def test_a_missing_key_is_400_and_says_where_it_may_stand(
        self, ask: Ask, provider: FakeProvider
    ):
        answer = ask(headers={})

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

    def test_too_many_requests_are_429(self, ask: Ask, settings):
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"proxy": (1, 60)}
        ask()

        answer = ask()

        assert is_ours(answer, 429, "RESOURCE_EXHAUSTED")
        assert int(answer.headers["retry-after"]) > 0

    def test_another_method_is_405(self, http, server: str, provider: FakeProvider):
        url = f"{base_of(server, provider)}/v1beta/models/m:generateContent"

        answer = http.get(url)

        assert is_ours(answer, 405, "INVALID_ARGUMENT")
        assert answer.headers["allow"] == "POST"

    def test_a_large_body_is_413(self, ask: Ask, settings):
        settings.PROXY_MAX_BODY = 100

        assert is_ours(ask(b" " * 200), 413, "INVALID_ARGUMENT")

    @pytest.mark.parametrize(
        "path", ["v1beta/cachedContents", "v1beta/files", "v1beta/models/../files:generateContent"]
    )
    def test_an_endpoint_that_is_not_served_is_404(
        self, http, server: str, provider: FakeProvider, path: str
    ):
        request = requests.Request("POST", "http://x", headers={"x-goog-api-key": KEY})
        prepared = http.prepare_request(request)
        prepared.url = f"{base_of(server, provider)}/{path}"

        answer = http.send(prepared)

        assert is_ours(answer, 404, "NOT_FOUND")
        assert "generateContent" in answer.json()["error"]["message"]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_the_built_in_model_is_none_of_geminis(self, http, server: str, method: str):
        task = ":generateContent" if method == "POST" else ""

        answer = http.request(method, f"{server}/api/v1/proxy/default/v1beta/models/m{task}")

        assert is_ours(answer, 404, "NOT_FOUND")
        assert "chat/completions" in answer.json()["error"]["message"]

    def test_a_silent_provider_is_504(self, ask: Ask, bounds):
        assert is_ours(ask(behaviour="stall"), 504, "DEADLINE_EXCEEDED")

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

    def test_a_fault_of_ours_is_500(self, ask: Ask, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(gemini, "read", None)

        assert is_ours(ask(), 500, "INTERNAL")


class TestTheLog:
    def test_names_the_task_and_no_key(self):
        path = "/api/v1/proxy/https://g.example/secret/v1beta/models/gemini-2.0:generateContent"

        assert masked_path(path) == (
            "/api/v1/proxy/https://g.example/~masked~/v1beta/models/gemini-2.0:generateContent"
        )

    @pytest.mark.parametrize(
        "behaviour", ["gemini", "gemini-fail/500", "gemini-cut", "stall", "redirect", "gzipped"]
    )
    @pytest.mark.parametrize("is_in_query", [True, False])
    def test_no_log_and_no_answer_shows_the_key(
        self, ask: Ask, bounds, caplog: pytest.LogCaptureFixture, behaviour: str, is_in_query: bool
    ):
        caplog.set_level("DEBUG")
        canary = "canary-7Zq4-secret"
        query = f"?alt=sse&key={canary}" if is_in_query else "?alt=sse"
        shown = {} if is_in_query else {"x-goog-api-key": canary}

        answer = ask(task="streamGenerateContent", query=query, behaviour=behaviour, headers=shown)

        assert canary not in answer.text + str(answer.headers)
        formatter = MaskingFormatter()
        assert canary not in "\n".join(formatter.format(record) for record in caplog.records)
