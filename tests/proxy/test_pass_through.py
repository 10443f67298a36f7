"""Whatever else a provider serves goes up as it came, and comes down as it is."""

from __future__ import annotations

import json
from collections.abc import Callable

import openai
import pytest
import requests
from aiohttp import web

from alchemyst.accounts.models import User
from proxy.models import Provider
from proxy.providers.cache import memory
from tests import gemini, nginx
from tests.fakes import FakeProvider, Received
from tests.proxy.conftest import HISTORY, KEY, completion

SHOWN = {"X-Upstream-Api-Key": KEY}
LONG_KEY = "sk-proj-0123456789abcdefghij"
BINARY = bytes(range(256)) * 40
Ask = Callable[..., requests.Response]


async def mirror(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer with the body that came."""
    kind = received.headers.get("Content-Type", "text/plain")
    return web.Response(body=received.body, headers={"content-type": kind, "x-request-id": "up-1"})


async def content(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer as a store of files does: any range of one."""
    headers = {
        "content-type": "audio/mpeg",
        "content-disposition": 'attachment; filename="a.mp3"',
        "etag": '"e1"',
        "accept-ranges": "bytes",
    }
    if request.headers.get("range") != "bytes=2-5":
        return web.Response(body=BINARY, headers=headers)
    headers["content-range"] = f"bytes 2-5/{len(BINARY)}"
    return web.Response(status=206, body=BINARY[2:6], headers=headers)


async def gone(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(status=204, headers={"x-request-id": "up-1"})


async def embedded(request: web.Request, received: Received) -> web.StreamResponse:
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    return web.json_response(
        {"object": "list", "data": data, "model": "embed-test", "usage": usage}
    )


async def batch_results(request: web.Request, received: Received) -> web.StreamResponse:
    line = json.dumps({"response": {"body": {"usage": {"prompt_tokens": 5000}}}}).encode() + b"\n"
    return web.Response(body=line * 3, content_type="application/x-jsonl")


@pytest.fixture(autouse=True)
def _behaviours(provider: FakeProvider) -> None:
    provider.behaviours |= {
        "mirror": mirror,
        "content": content,
        "gone": gone,
        "embedded": embedded,
        "batch-results": batch_results,
    }


@pytest.fixture
def base(server: str, provider: FakeProvider) -> str:
    """The URL by which the provider is reached, to which any path may be added."""
    return f"{server}/api/v1/proxy/{provider.url}"


@pytest.fixture
def ask(http: requests.Session, base: str) -> Ask:
    """Asks for a path of the provider's, written to the letter, with its key in a header."""

    def ask(method: str, path: str, **options: object) -> requests.Response:
        headers = SHOWN | options.pop("headers", {})  # type: ignore[operator]
        prepared = http.prepare_request(requests.Request(method, base, headers=headers, **options))  # type: ignore[arg-type]
        prepared.url = base + path
        return http.send(prepared)

    return ask


class TestARequest:
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_goes_up_by_its_own_method(self, ask: Ask, provider: FakeProvider, method: str):
        assert ask(method, "/mirror/v1/threads/t_1").status_code == 200
        assert (provider.last().method, provider.last().path) == (method, "/mirror/v1/threads/t_1")

    @pytest.mark.parametrize(
        "path",
        [
            "/mirror/v1/embeddings",
            "/mirror/v1/files/file-1/content",
            "/mirror/v1/nobody_knows/this",
            "/mirror/v1/models/meta-llama/Llama-3.3:free",
            "/mirror/v1/models/a%2Fb%3Ac",
            "/mirror/openai/deployments/gpt4o/embeddings?api-version=2024-10-21",
            "/mirror/v1/files?limit=3&after=file%2D1&empty=&twice=a&twice=b+c",
            "/mirror/v1/with/slash/",
            "/mirror//double",
        ],
    )
    @nginx.DECODES_SLASHES
    def test_has_its_path_and_query_byte_for_byte(
        self, ask: Ask, provider: FakeProvider, path: str
    ):
        assert ask("GET", path).status_code == 200
        assert provider.last().path == path

    @pytest.mark.parametrize("kind", ["multipart/form-data; boundary=XyZ", "application/pdf", ""])
    def test_has_its_body_and_its_type_as_they_came(
        self, ask: Ask, provider: FakeProvider, kind: str
    ):
        headers = {"Content-Type": kind} if kind else {}

        answer = ask("POST", "/mirror/v1/files", data=BINARY, headers=headers)

        assert answer.content == provider.last().body == BINARY
        assert provider.last().headers.get("Content-Type", "") == kind

    @pytest.mark.parametrize("path", ["/mirror/v1/v1/files", "/mirror/v1beta/v1beta/corpora"])
    def test_may_have_its_version_appended_by_the_client(
        self, ask: Ask, provider: FakeProvider, path: str
    ):
        headers = {"x-goog-api-key": gemini.KEY} if "beta" in path else {}

        assert ask("GET", path, headers=headers).status_code == 200
        assert provider.last().path.count("v1") == 1

    def test_keeps_what_belongs_to_its_body(self, ask: Ask, provider: FakeProvider):
        headers = {"Content-Encoding": "identity", "Content-MD5": "abc="}

        ask("PUT", "/mirror/v1/uploads/u/parts", data=BINARY, headers=headers)

        assert headers.items() <= provider.last().headers.items()

    def test_shows_the_providers_key_and_nothing_of_ours(
        self, ask: Ask, provider: FakeProvider, token: str
    ):
        ask("GET", "/mirror/v1/files", headers={"Cookie": "a=b"})

        shown = provider.last().headers
        assert shown["Authorization"] == f"Bearer {KEY}"
        assert token not in str(shown)
        assert not {"Cookie", "X-Upstream-Api-Key"} & shown.keys()

    def test_is_never_filtered(self, ask: Ask, provider: FakeProvider):
        body = json.dumps({"input": ["the same"] * 20, "model": "m"}).encode()

        answer = ask("POST", "/mirror/v1/embeddings", data=body)

        assert provider.last().body == body
        assert "X-Alchemyst-Context" not in answer.headers

    def test_may_be_another_method_of_what_is_filtered(self, ask: Ask, provider: FakeProvider):
        assert ask("GET", "/mirror/v1/chat/completions?limit=2").status_code == 200
        assert provider.last().path == "/mirror/v1/chat/completions?limit=2"

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/../admin",
            "/v1/./files",
            "/v1/%2e%2e/admin",
            "/v1/..%2Fadmin",
            "/v1/%252e%252e/admin",
            "/v1/files/..",
            "/v1/..%5Cadmin",
            "/v1/responses/../organization/users",
            "/v1/responses/..%2Forganization%2Fusers",
            "/v1/conversations/%252e%252e%252forganization",
        ],
    )
    @nginx.DECODES_SLASHES
    def test_has_no_dot_segments(self, ask: Ask, provider: FakeProvider, path: str):
        answer = ask("GET", path)

        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_target")
        assert not provider.received

    def test_holds_no_token_of_ours(self, ask: Ask, provider: FakeProvider, token: str):
        for path in (f"/v1/files/{token}", f"/v1/files?key={token}"):
            assert ask("GET", path).json()["error"]["code"] == "invalid_target"
        assert not provider.received

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx refuses it by itself")
    def test_is_not_by_a_method_that_repeats_the_key(self, ask: Ask, provider: FakeProvider):
        answer = ask("TRACE", "/v1/files")

        assert answer.status_code == 405
        assert "PATCH" in answer.headers["allow"]
        assert not provider.received


class TestAnAnswer:
    def test_comes_down_with_what_tells_a_file(self, ask: Ask):
        answer = ask("GET", "/content/v1/audio/speech")

        assert answer.content == BINARY
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["content-disposition"] == 'attachment; filename="a.mp3"'
        assert (answer.headers["etag"], answer.headers["accept-ranges"]) == ('"e1"', "bytes")

    def test_may_be_a_range(self, ask: Ask):
        answer = ask("GET", "/content/v1/files/f/content", headers={"Range": "bytes=2-5"})

        assert (answer.status_code, answer.content) == (206, BINARY[2:6])
        assert answer.headers["content-range"] == f"bytes 2-5/{len(BINARY)}"

    def test_to_head_has_a_length_and_no_body(self, ask: Ask):
        answer = ask("HEAD", "/content/v1/files/f/content")

        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(BINARY))

    def test_to_head_is_followed_by_the_next(self, ask: Ask):
        ask("HEAD", "/content/v1/files/f/content")

        assert ask("GET", "/content/v1/files/f/content").content == BINARY

    def test_may_have_no_body_at_all(self, ask: Ask):
        answer = ask("DELETE", "/gone/v1/files/f")

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["x-request-id"] == "up-1"

    def test_may_be_larger_than_an_answer_of_a_chat(self, ask: Ask, settings):
        settings.PROXY_MAX_RESPONSE = 100

        assert ask("GET", "/content/v1/files/f/content").content == BINARY

    def test_has_a_bound_of_its_own(self, ask: Ask, settings):
        settings.PROXY_MAX_DOWNLOAD = 100

        answer = ask("GET", "/content/v1/files/f/content")

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")

    def test_is_the_providers_error_as_it_is(self, ask: Ask):
        answer = ask("GET", "/fail/404/v1/files/f")

        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "c")
        assert "x-alchemyst-error-source" not in answer.headers


class TestTheKeyInThePath:
    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            ("/v1/{short}/embeddings", "/v1/embeddings"),
            ("/v1/{short}/files/file-1/content", "/v1/files/file-1/content"),
            ("/v1/{long}/nobody_knows/this", "/v1/nobody_knows/this"),
            ("/{long}/v1/files", "/v1/files"),
            ("/v1/{long}/v1/files", "/v1/files"),
            ("/v1/{short}/models/a/b:free", "/v1/models/a/b:free"),
            ("/v1/{short}/files?limit=1", "/v1/files?limit=1"),
        ],
    )
    def test_is_found_where_it_stands(
        self, http: requests.Session, base: str, provider: FakeProvider, path: str, asked: str
    ):
        key = LONG_KEY if "{long}" in path else "k1"

        answer = http.get(f"{base}/mirror{path.format(short=key, long=key)}")

        assert answer.status_code == 200
        assert provider.last().path == f"/mirror{asked}"
        assert provider.last().headers["Authorization"] == f"Bearer {key}"

    @pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/nobody/knows", "", "/v1"])
    def test_that_is_missing_is_told(
        self, http: requests.Session, base: str, provider: FakeProvider, path: str
    ):
        answer = http.post(f"{base}{path}", json={})

        assert answer.status_code == 400
        assert "X-Upstream-Api-Key" in answer.json()["error"]["message"]
        assert not provider.received


class TestAStoredProvider:
    @pytest.fixture
    def stored(self, alice: User, provider: FakeProvider) -> Callable[..., Provider]:
        def store(path: str = "/mirror/v1", dialect: str = "openai") -> Provider:
            memory.clear()
            made = Provider(
                owner=alice, name="mine", base_url=f"{provider.url}{path}", dialect=dialect
            )
            made.seal(LONG_KEY)
            made.save()
            return made

        return store

    @pytest.fixture
    def mine(self, server: str) -> str:
        return f"{server}/api/v1/proxy/mine"

    @pytest.mark.parametrize("path", ["/files/f", "/v1/files/f"])
    def test_is_asked_for_the_rest_of_the_path(
        self, http: requests.Session, mine: str, stored, provider: FakeProvider, path: str
    ):
        stored()

        assert http.delete(mine + path).status_code == 200
        assert provider.last().path == "/mirror/v1/files/f"
        assert provider.last().headers["Authorization"] == f"Bearer {LONG_KEY}"

    def test_is_spoken_to_as_it_is_stored(
        self, http: requests.Session, mine: str, stored, provider: FakeProvider
    ):
        stored("/mirror", "gemini")

        http.get(f"{mine}/v1/nobody_knows")

        assert provider.last().headers["x-goog-api-key"] == LONG_KEY

    @pytest.mark.parametrize("path", ["/embeddings", "/chat/completions", "/models"])
    def test_may_have_a_query_that_is_added_to_each_request(
        self, http: requests.Session, mine: str, stored, provider: FakeProvider, path: str
    ):
        stored("/plain/v1?api-version=2024-10-21&a=%20b")
        method = "GET" if path == "/models" else "POST"

        answer = http.request(method, f"{mine}{path}?limit=3", json=completion(HISTORY[-1:]))

        assert answer.status_code == 200
        assert provider.last().path == f"/plain/v1{path}?limit=3&api-version=2024-10-21&a=%20b"

    def test_has_its_query_overruled_by_the_callers(
        self, http: requests.Session, mine: str, stored, provider: FakeProvider
    ):
        stored("/mirror/v1?api-version=1&b=2")

        http.get(f"{mine}/files?api-version=2")

        assert provider.last().path == "/mirror/v1/files?api-version=2&b=2"

    def test_is_stored_with_its_query(self, http: requests.Session, server: str):
        url = "https://mine.openai.azure.com/openai?api-version=2024-10-21"
        fields = {"name": "azure", "base_url": url, "key": LONG_KEY}

        made = http.post(f"{server}/api/v1/providers", json=fields)

        assert made.status_code == 201
        assert made.json()["base_url"] == url

    @pytest.mark.parametrize("query", ["a b", "a#b", "sch%C3lüssel"])
    def test_is_not_stored_with_a_query_that_is_none(
        self, http: requests.Session, server: str, query: str
    ):
        fields = {"name": "azure", "base_url": f"https://a.example/?{query}", "key": LONG_KEY}

        assert http.post(f"{server}/api/v1/providers", json=fields).status_code == 400

    def test_that_nobody_stored_is_told(self, http: requests.Session, mine: str):
        answer = http.get(f"{mine}/files")

        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_target")


class TestTheBuiltInModel:
    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "embeddings"), ("GET", "v1/files"), ("DELETE", "models/x"), ("GET", "models/x")],
    )
    @pytest.mark.parametrize("headers", [{}, SHOWN])
    def test_says_what_it_lacks(
        self,
        http: requests.Session,
        server: str,
        method: str,
        path: str,
        headers: dict[str, str],
    ):
        answer = http.request(method, f"{server}/api/v1/proxy/default/{path}", headers=headers)

        assert answer.status_code == 404
        assert answer.json()["error"]["message"]

    def test_tells_of_itself(self, http: requests.Session, server: str):
        url = f"{server}/api/v1/proxy/default/models"
        (listed,) = http.get(url).json()["data"]

        assert http.get(f"{url}/{listed['id']}").json() == listed


class TestGemini:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/upload/v1beta/files?uploadType=resumable"),
            ("GET", "/v1beta/files?pageSize=2"),
            ("DELETE", "/v1beta/cachedContents/c1"),
            ("PATCH", "/v1beta/tunedModels/t1?updateMask=displayName"),
            ("GET", "/v1/operations/o1"),
            ("GET", "/download/v1beta/files/f1:download?alt=media"),
        ],
    )
    def test_is_asked_for_all_that_it_has(
        self, http: requests.Session, base: str, provider: FakeProvider, method: str, path: str
    ):
        shown = {"x-goog-api-key": gemini.KEY, "x-goog-upload-command": "start"}

        answer = http.request(method, f"{base}/mirror{path}", headers=shown)

        assert answer.status_code == 200
        assert (provider.last().method, provider.last().path) == (method, f"/mirror{path}")
        assert shown.items() <= provider.last().headers.items()

    def test_has_its_key_taken_out_of_the_query(
        self, http: requests.Session, base: str, provider: FakeProvider
    ):
        http.get(f"{base}/mirror/v1beta/files?pageSize=2&key={gemini.KEY}")

        assert provider.last().path == "/mirror/v1beta/files?pageSize=2"
        assert provider.last().headers["x-goog-api-key"] == gemini.KEY


def is_closed(answer: requests.Response) -> bool:
    return (answer.status_code, answer.json()["error"]["code"]) == (403, "target_not_allowed")


class TestAnAdministrativePath:
    PATHS = (
        "/v1/organization/users",
        "/v1/organizations/api_keys",
        "/v1/organ%69zation/projects",
        "/v1//organization/users",
        "/v1/organization/models",
        "/organization/users",
        "/v1/organization?limit=2",
        "/v1/organization;v=1/users",
        "/v1/organization%20/users",
        "/v1%5Corganization/users",
    )

    @pytest.mark.parametrize("path", PATHS)
    def test_is_closed(self, ask: Ask, provider: FakeProvider, path: str):
        answer = ask("GET", path)

        assert is_closed(answer)
        assert "ALCHEMYST_PROXY_ADMIN_PATHS" in answer.json()["error"]["message"]
        assert not provider.received

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx refuses it by itself")
    def test_is_closed_behind_a_nul_too(self, ask: Ask, provider: FakeProvider):
        assert is_closed(ask("GET", "/v1/organization%00/users"))
        assert not provider.received

    def test_is_opened_by_the_operator(self, ask: Ask, provider: FakeProvider, settings):
        settings.PROXY_ADMIN_PATHS = True

        assert ask("GET", "/plain/v1/organization/users").status_code == 200

    def test_is_none_where_a_model_is_called_so(self, ask: Ask, provider: FakeProvider):
        assert ask("GET", "/plain/v1/models/my/organization").status_code == 200

    def test_is_none_where_a_query_names_one(self, ask: Ask):
        assert ask("GET", "/plain/v1/files?of=/v1/organization/users").status_code == 200


class TestTheRow:
    def test_has_the_endpoint_the_model_and_the_usage_of_the_answer(self, ask: Ask, rows):
        ask("POST", "/embedded/v1/embeddings", json={"model": "embed-test", "input": "x"})

        (row,) = rows()
        assert (row.endpoint, row.model, row.prompt_tokens) == ("embeddings", "embed-test", 8)
        assert (row.status, row.outcome) == (200, "complete")

    @pytest.mark.parametrize(
        ("path", "endpoint"),
        [
            ("/mirror/v1/messages/batches/b1/results", "batches"),
            ("/mirror/v1/models/a/b", "models"),
            ("/mirror/v1/" + "x" * 300, "other"),
        ],
    )
    def test_has_one_of_few_names(self, ask: Ask, rows, path: str, endpoint: str):
        ask("GET", path)

        assert [row.endpoint for row in rows()] == [endpoint]

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/plain/v1/responses/r1"), ("POST", "/batch-results/v1/files/f/content")],
    )
    def test_counts_nothing_that_was_used_by_other_calls(
        self, ask: Ask, rows, method: str, path: str
    ):
        ask(method, path)

        (row,) = rows()
        assert (row.status, row.prompt_tokens) == (200, None)


class TestThePackage:
    """The provider's own package, which builds the paths and the forms by itself."""

    @pytest.fixture
    def client(self, sdk: Callable[..., openai.OpenAI], base: str) -> Callable[..., openai.OpenAI]:
        def client(behaviour: str) -> openai.OpenAI:
            return sdk(f"{base}/{behaviour}/v1", default_headers=SHOWN)

        return client

    def test_embeds(self, client: Callable[..., openai.OpenAI]):
        answer = client("embedded").embeddings.create(
            model="embed-test", input="x", encoding_format="float"
        )

        assert answer.data[0].embedding == [0.5]
        assert answer.usage.prompt_tokens == 8

    def test_sends_a_file(self, client: Callable[..., openai.OpenAI], provider: FakeProvider):
        client("plain").files.create(file=("a.jsonl", BINARY * 300), purpose="batch")

        assert provider.last().path == "/plain/v1/files"
        assert BINARY * 300 in provider.last().body

    def test_fetches_a_file(self, client: Callable[..., openai.OpenAI]):
        assert client("content").files.content("file-1").read() == BINARY

    def test_has_text_read_out(self, client: Callable[..., openai.OpenAI]):
        speech = client("content").audio.speech
        with speech.with_streaming_response.create(model="m", voice="v", input="x") as answer:
            assert b"".join(answer.iter_bytes()) == BINARY

    def test_writes_down_what_is_said(
        self, client: Callable[..., openai.OpenAI], provider: FakeProvider
    ):
        client("plain").audio.transcriptions.create(model="m", file=("a.wav", BINARY))

        assert provider.last().headers["Content-Type"].startswith("multipart/form-data; boundary=")
        assert BINARY in provider.last().body


class TestTheQueryOfWhatIsFiltered:
    def test_goes_up_byte_for_byte(self, ask: Ask, provider: FakeProvider):
        path = "/plain/openai/deployments/gpt4o/chat/completions?api-version=2024-10-21&x=%20"

        assert ask("POST", path, json=completion()).status_code == 200
        assert provider.last().path == path
        assert provider.last().json["messages"] == HISTORY[:2] + HISTORY[4:]

    def test_of_a_list_of_models_goes_up_too(self, ask: Ask, provider: FakeProvider):
        assert ask("GET", "/v1/models?limit=3").status_code == 200
        assert provider.last().path == "/v1/models?limit=3"
