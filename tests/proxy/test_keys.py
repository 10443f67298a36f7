"""Where a caller's two keys may stand: one of ours, and one of a provider's that goes up alone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import openai
import pytest
import requests

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey, User
from proxy.models import Provider
from proxy.upstream import endpoint
from proxy.upstream.endpoint import permitted_provider
from proxy.upstream.target import base_of
from tests import nginx
from tests.fakes import ANSWER, FakeProvider
from tests.gemini import base_of as geminis_base
from tests.proxy.conftest import CONTENTS, HISTORY, completion

QUESTION = HISTORY[-1:]
# Each header that clients have a setting for, with what they write before the key.
HEADERS = {"Authorization": "Bearer ", "x-api-key": "", "api-key": "", "x-goog-api-key": ""}
every_header = pytest.mark.parametrize("name", HEADERS)
THEIRS = "sk-theirs-1234567890"

Post = Callable[..., requests.Response]


def shown(**keys: str) -> dict[str, str]:
    """Headers with these keys, named with underscores."""
    names = {name.lower().replace("-", "_"): name for name in HEADERS}
    return {names[name]: HEADERS[names[name]] + key for name, key in keys.items()}


@pytest.fixture
def own_key(alice: User) -> str:
    return ApiKey.make(alice, name="laptop", scopes=["proxy"])[1]


@pytest.fixture
def post(server: str, provider: FakeProvider) -> Post:
    """Asks the provider through the proxy, with these headers and no others that are ours."""

    def send(path: str = "", **headers: str) -> requests.Response:
        target = path or f"{provider.url}/v1"
        url = f"{server}/api/v1/proxy/{target}/chat/completions"
        with requests.Session() as session:
            session.trust_env = False
            return session.post(url, json=completion(QUESTION), headers=headers)

    return send


def credentials_of(provider: FakeProvider) -> dict[str, str]:
    """What of keys the provider was shown, by headers in lower case."""
    names = {name.lower() for name in HEADERS} | {"x-upstream-api-key"}
    sent = {name.lower(): value for name, value in provider.last().headers.items()}
    return {name: value for name, value in sent.items() if name in names}


def stored(owner: User, provider: FakeProvider) -> None:
    """Have the provider stored under the name `mine`."""
    Provider.sealed(owner.pk, key="sk-stored", name="mine", base_url=f"{provider.url}/v1").save()


class TestOurToken:
    @every_header
    @pytest.mark.parametrize("kind", ["API key", "access token"])
    def test_may_stand_in_any_header_for_keys(
        self, post: Post, provider: FakeProvider, own_key: str, token: str, name: str, kind: str
    ):
        own = own_key if kind == "API key" else token

        answer = post(**{name: HEADERS[name] + own, "X-Upstream-Api-Key": THEIRS})

        assert answer.status_code == 200
        assert credentials_of(provider) == {"authorization": f"Bearer {THEIRS}"}

    @every_header
    def test_is_one_where_it_stands_twice(
        self, post: Post, provider: FakeProvider, own_key: str, name: str
    ):
        both = {"x-api-key": own_key, "Authorization": f"Bearer {own_key}"}

        answer = post(**both | {name: HEADERS[name] + own_key, "X-Upstream-Api-Key": THEIRS})

        assert answer.status_code == 200
        assert credentials_of(provider) == {"authorization": f"Bearer {THEIRS}"}

    def test_beside_another_of_ours_is_401_in_words(
        self, post: Post, provider: FakeProvider, own_key: str, token: str
    ):
        answer = post(**{"Authorization": f"Bearer {token}", "x-api-key": own_key})

        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (401, "invalid_token")
        assert "authorization and x-api-key have different Alchemyst tokens" in error["message"]
        assert own_key not in answer.text
        assert not provider.received

    def test_of_the_other_kind_beside_it_is_401_too(self, post: Post, alice: User, own_key: str):
        refresh = issue(alice).refresh

        answer = post(**{"x-goog-api-key": refresh, "x-api-key": own_key})

        assert answer.status_code == 401

    @every_header
    def test_that_was_revoked_is_401_and_not_to_be_retried(
        self, post: Post, own_key: str, name: str
    ):
        ApiKey.objects.all().delete()

        answer = post(**{name: HEADERS[name] + own_key, "X-Upstream-Api-Key": THEIRS})

        assert answer.status_code == 401
        assert answer.headers["x-should-retry"] == "false"

    def test_without_the_scope_is_403_and_not_to_be_retried(self, post: Post, alice: User):
        own = ApiKey.make(alice, name="x", scopes=["chat"])[1]

        answer = post(**{"x-api-key": own, "X-Upstream-Api-Key": THEIRS})

        assert answer.status_code == 403
        assert answer.headers["x-should-retry"] == "false"

    def test_for_another_host_is_403_and_not_to_be_retried(self, post: Post, alice: User):
        own = ApiKey.make(alice, name="x", scopes=["proxy"], allowed_hosts=["api.openai.com"])[1]

        answer = post(**{"x-api-key": own, "X-Upstream-Api-Key": THEIRS})

        assert answer.status_code == 403
        assert answer.headers["x-should-retry"] == "false"

    @pytest.mark.parametrize(
        ("headers", "words"),
        [
            ({}, "Give an Alchemyst token in Authorization: Bearer <token>, x-api-key"),
            ({"x-api-key": THEIRS}, "None of these keys is an Alchemyst token"),
            ({"x-goog-api-key": "alk_"}, "None of these keys is an Alchemyst token"),
            ({"Authorization": f"Bearer {THEIRS}", "x-api-key": THEIRS}, "invalid, expired"),
        ],
    )
    def test_that_is_missing_is_401_in_words(
        self, post: Post, provider: FakeProvider, headers: dict[str, str], words: str
    ):
        answer = post(**headers)

        assert answer.status_code == 401
        assert words in answer.json()["error"]["message"]
        assert not provider.received

    @pytest.mark.parametrize("value", ["{own}", "Basic {own}", "Bearer {own} {own}"])
    def test_in_authorization_is_a_bearer_token(self, post: Post, own_key: str, value: str):
        assert post(Authorization=value.format(own=own_key)).status_code == 401

    @pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-goog-api-key"])
    def test_is_taken_from_no_other_header_elsewhere(self, server: str, own_key: str, name: str):
        for path in ("/api/v1/providers", "/api/v1/chat/history"):
            answer = requests.get(f"{server}{path}", headers={name: own_key})

            assert answer.status_code == 401

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx waits for the whole body")
    def test_is_refused_before_the_body_has_come(self, server: str, provider: FakeProvider):
        parts = urlsplit(f"{server}/api/v1/proxy/{provider.url}/v1/chat/completions")
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nx-api-key: alk_{'x' * 43}\r\n"
            "Content-Length: 1000000\r\n\r\n"
        )

        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(head.encode())
            status = connection.recv(65536).split(b" ")[1]

        assert status == b"401"


class TestTheProvidersKey:
    @every_header
    def test_may_stand_in_each_header_that_has_not_ours(
        self, post: Post, provider: FakeProvider, own_key: str, name: str
    ):
        place_of_ours = "x-api-key" if name == "Authorization" else "Authorization"
        ours = {place_of_ours: HEADERS[place_of_ours] + own_key}

        answer = post(**ours | {name: HEADERS[name] + THEIRS})

        assert answer.status_code == 200
        assert provider.last().path == "/v1/chat/completions"
        as_it_goes_up = {"authorization": f"Bearer {THEIRS}"}
        if name == "api-key":
            as_it_goes_up = {"api-key": THEIRS}
        assert credentials_of(provider) == as_it_goes_up

    def test_in_such_a_header_goes_before_its_own(
        self, post: Post, provider: FakeProvider, own_key: str
    ):
        post(**shown(authorization=own_key, x_api_key=THEIRS), **{"X-Upstream-Api-Key": "sk-2"})

        assert credentials_of(provider) == {"authorization": f"Bearer {THEIRS}"}

    def test_in_its_own_header_goes_before_the_path(
        self, post: Post, provider: FakeProvider, own_key: str
    ):
        post(
            f"{provider.url}/v1/sk-path",
            **shown(x_api_key=own_key),
            **{"X-Upstream-Api-Key": THEIRS},
        )

        assert credentials_of(provider) == {"authorization": f"Bearer {THEIRS}"}
        assert provider.last().path == "/v1/sk-path/chat/completions"

    def test_may_stand_in_the_path_of_a_client_that_has_room_for_one(
        self, post: Post, provider: FakeProvider, own_key: str
    ):
        post(f"{provider.url}/v1/{THEIRS}", **shown(x_api_key=own_key))

        assert credentials_of(provider) == {"authorization": f"Bearer {THEIRS}"}
        assert provider.last().path == "/v1/chat/completions"

    def test_is_that_in_the_dialects_header_where_several_have_one(
        self, server: str, provider: FakeProvider, own_key: str
    ):
        url = f"{geminis_base(server, provider)}/v1beta/models/m:generateContent?key=in-the-query"
        keys = shown(x_api_key=own_key, authorization="another", x_goog_api_key=THEIRS)

        requests.post(url, json={"contents": CONTENTS[-1:]}, headers=keys)

        assert credentials_of(provider) == {"x-goog-api-key": THEIRS}

    def test_in_a_query_of_geminis_goes_up_in_the_header(
        self, server: str, provider: FakeProvider, own_key: str
    ):
        url = f"{geminis_base(server, provider)}/v1beta/models/m:generateContent?key={THEIRS}"

        requests.post(url, json={"contents": CONTENTS[-1:]}, headers=shown(x_goog_api_key=own_key))

        assert credentials_of(provider) == {"x-goog-api-key": THEIRS}
        assert provider.last().path == "/gemini/v1beta/models/m:generateContent"

    def test_given_twice_in_one_header_is_401(
        self, server: str, provider: FakeProvider, own_key: str
    ):
        parts = urlsplit(f"{server}/api/v1/proxy/{provider.url}/v1/models")
        lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "x-api-key: a"]
        lines += ["x-api-key: b", f"Authorization: Bearer {own_key}", "", ""]

        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall("\r\n".join(lines).encode())
            answer = connection.recv(65536)

        assert answer.split(b" ")[1] == b"401"
        assert b"x-api-key was given more than once" in answer
        assert not provider.received


class TestAStoredProvider:
    @pytest.fixture
    def at_provider(self, alice: User, provider: FakeProvider) -> None:
        stored(alice, provider)

    @pytest.mark.usefixtures("at_provider")
    @pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-goog-api-key"])
    def test_gets_its_own_key_whatever_a_client_insists_on_sending(
        self, post: Post, provider: FakeProvider, own_key: str, name: str
    ):
        answer = post("mine", **shown(authorization=own_key), **{name: "dummy"})

        assert answer.status_code == 200
        assert credentials_of(provider) == {"authorization": "Bearer sk-stored"}

    @pytest.mark.usefixtures("at_provider")
    def test_beside_a_key_that_is_meant_for_a_provider_is_400(
        self, post: Post, provider: FakeProvider, own_key: str
    ):
        answer = post("mine", **shown(x_api_key=own_key), **{"X-Upstream-Api-Key": THEIRS})

        assert answer.status_code == 400
        assert "leave out X-Upstream-Api-Key" in answer.json()["error"]["message"]
        assert not provider.received

    @pytest.mark.usefixtures("at_provider")
    def test_serves_a_client_that_has_room_for_one_key(
        self, post: Post, provider: FakeProvider, own_key: str
    ):
        assert post("mine", **shown(x_api_key=own_key)).status_code == 200
        assert credentials_of(provider) == {"authorization": "Bearer sk-stored"}


class TestAzure:
    """Its hosts take a key in a header of their own, whatever the dialect."""

    def test_gets_a_stored_key_as_api_key(
        self, post: Post, alice: User, provider: FakeProvider, own_key: str, monkeypatch
    ):
        monkeypatch.setattr(endpoint, "AZURE_HOSTS", ("127.0.0.1",))
        stored(alice, provider)

        assert post("mine", **shown(x_api_key=own_key)).status_code == 200
        assert credentials_of(provider) == {"api-key": "sk-stored"}

    def test_has_deployments_in_its_paths_and_no_keys(
        self, post: Post, provider: FakeProvider, own_key: str
    ):
        post(
            f"{provider.url}/openai/deployments/gpt4o",
            **shown(authorization=own_key, api_key=THEIRS),
        )

        assert provider.last().path.partition("?")[0] == (
            "/openai/deployments/gpt4o/chat/completions"
        )
        assert credentials_of(provider) == {"api-key": THEIRS}

    def test_is_asked_by_its_own_client(self, server: str, provider: FakeProvider, own_key: str):
        client = openai.AzureOpenAI(
            azure_endpoint=f"{server}/api/v1/proxy/{provider.url}",
            api_key=THEIRS,
            api_version="2024-10-21",
            default_headers={"x-api-key": own_key},
            max_retries=0,
        )

        with client:
            answer = client.chat.completions.create(model="gpt-test", messages=QUESTION)

        assert answer.choices[0].message.content == ANSWER
        assert credentials_of(provider) == {"api-key": THEIRS}

    @pytest.mark.parametrize("host", ["me.openai.azure.com", "me.cognitiveservices.azure.com"])
    async def test_is_known_by_its_names(self, host: str):
        base = base_of(f"https://{host}/openai/deployments/d")

        assert permitted_provider(base, THEIRS).key_header == "api-key"

    async def test_gets_a_token_of_entras_as_a_bearer(self):
        base = base_of("https://me.openai.azure.com/openai/v1")

        assert permitted_provider(base, "eyJhbGciOiJSUzI1NiJ9.e30.c2ln").key_header == ""

    @pytest.mark.parametrize(
        "host", ["api.openai.com", "openai.azure.com.example.com", "my-openai.azure.com"]
    )
    async def test_is_no_other_host(self, host: str):
        assert permitted_provider(base_of(f"https://{host}/v1"), THEIRS).key_header == ""
