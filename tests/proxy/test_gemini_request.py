"""What goes up to Gemini: the path, the query, the headers and the body, byte for byte."""

from __future__ import annotations

import json

import pytest

from tests import nginx
from tests.fakes import FakeProvider
from tests.gemini import KEY, Ask, base_of, is_ours
from tests.proxy.conftest import CONTENTS

QUESTION = CONTENTS[-1:]


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
            "models/a%20b",
            pytest.param("models/a%2Fb", marks=nginx.DECODES_SLASHES),
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
        self, ask_gemini: Ask, provider: FakeProvider, token: str, headers, query: str
    ):
        ask_gemini(headers=headers, query=query)

        sent = {name.lower(): value for name, value in provider.last().headers.items()}
        assert sent["x-goog-api-key"] == KEY
        assert "authorization" not in sent
        assert "x-upstream-api-key" not in sent
        assert "key=" not in provider.last().path
        assert token not in str(sent)

    def test_keeps_the_rest_of_the_query_byte_for_byte(
        self, ask_gemini: Ask, provider: FakeProvider
    ):
        ask_gemini(
            query=f"?$alt=json;enum-encoding=int&key={KEY}&prettyPrint=false&x=%2F+%20&&y",
            task="countTokens",
        )

        query = provider.last().path.partition("?")[2]
        assert query == "$alt=json;enum-encoding=int&prettyPrint=false&x=%2F+%20&&y"

    def test_carries_what_the_packages_tell_of_themselves(
        self, ask_gemini: Ask, provider: FakeProvider
    ):
        told = {
            "x-goog-api-client": "google-genai-sdk/3.4.0",
            "x-goog-user-project": "project-1",
            "X-Server-Timeout": "30",
        }

        ask_gemini(
            headers={"x-goog-api-key": KEY, "x-goog-authenticated-user-email": "a@b.c"} | told
        )

        sent = {name.lower(): value for name, value in provider.last().headers.items()}
        assert all(sent[name.lower()] == value for name, value in told.items())
        assert "x-goog-authenticated-user-email" not in sent

    @pytest.mark.parametrize(
        "task", ["countTokens", "embedContent", "batchEmbedContents", "batchGenerateContent", "new"]
    )
    def test_carries_every_other_tasks_body_untouched(
        self, ask_gemini: Ask, provider: FakeProvider, task: str
    ):
        doubled = json.dumps(CONTENTS + CONTENTS).encode()
        body = b'{"contents" : %b , "requests": [], "n": 1.50}' % doubled

        answer = ask_gemini(body, task)

        assert answer.status_code == 200
        assert provider.last().body == body
        assert "x-alchemyst-context" not in answer.headers

    def test_carries_even_what_is_no_json_to_another_task(
        self, ask_gemini: Ask, provider: FakeProvider
    ):
        ask_gemini(b"\xff{", "predict")

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

    def test_obeys_a_keys_list_of_models(self, ask_gemini: Ask, http, server: str, provider):
        limited = {"name": "k", "scopes": ["proxy"], "allowed_models": ["gemini-*"]}
        made = http.post(f"{server}/api/v1/auth/keys", json=limited).json()

        for task in ("generateContent", "countTokens"):
            shown = {"Authorization": f"Bearer {made['key']}", "x-goog-api-key": KEY}
            assert is_ours(ask_gemini(task=task, headers=shown), 403, "PERMISSION_DENIED")
        assert not provider.received

    def test_leaves_googles_openai_endpoints_to_openais_dialect(
        self, http, server: str, provider: FakeProvider
    ):
        for path in (f"v1beta/openai/{KEY}/chat/completions", f"v1beta/{KEY}/chat/completions"):
            answer = http.post(f"{server}/api/v1/proxy/{provider.url}/{path}", data="{}")

            assert answer.json()["error"].keys() == {"message", "type", "code", "param"}


class TestTheFilter:
    def test_replaces_the_contents_and_keeps_every_other_byte(
        self, ask_gemini: Ask, provider: FakeProvider
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

        answer = ask_gemini(body)

        sent = provider.last().body
        assert sent == body.replace(b", " + gone, b"").replace(b"," + gone, b"").replace(
            b'"generation_config": {', b'"generation_config":{'
        )
        assert (
            "mode=strict; result=filtered; kept=5; dropped=2"
            in (answer.headers["x-alchemyst-context"])
        )
        assert "filter;dur=" in answer.headers["server-timing"]

    @pytest.mark.parametrize("mode", ["off", "very_strict"])
    def test_forwards_the_bytes_where_nothing_is_dropped(
        self, ask_gemini: Ask, provider: FakeProvider, mode: str
    ):
        contents = CONTENTS if mode == "off" else QUESTION
        body = json.dumps({"contents": contents}, indent=3).encode()

        ask_gemini(body, headers={"x-goog-api-key": KEY, "X-Alchemyst-Relevance": mode})

        assert provider.last().body == body

    @pytest.mark.parametrize("field", ["cachedContent", "cached_content"])
    def test_is_off_for_the_tail_of_cached_content(
        self, ask_gemini: Ask, provider: FakeProvider, field: str
    ):
        body = json.dumps({field: "cachedContents/1", "contents": CONTENTS}).encode()

        answer = ask_gemini(body)

        assert provider.last().body == body
        assert "result=unchanged; kept=7" in (told := answer.headers["x-alchemyst-context"])
        assert "reason=stateful" in told

    def test_is_undone_when_gemini_refuses_its_result(
        self, ask_gemini: Ask, provider: FakeProvider
    ):
        answer = ask_gemini({"contents": CONTENTS}, behaviour="gemini-refuse-filtered")

        assert answer.status_code == 200
        assert [len(each.json["contents"]) for each in provider.received] == [5, 7]
        assert "result=undone" in answer.headers["x-alchemyst-context"]

    def test_obeys_pins_and_exclusions(self, ask_gemini: Ask, provider: FakeProvider):
        options = {"X-Alchemyst-Pin": "2", "X-Alchemyst-Exclude": "first"}

        ask_gemini({"contents": CONTENTS}, headers={"x-goog-api-key": KEY} | options)

        assert provider.last().json["contents"] == CONTENTS[2:]
