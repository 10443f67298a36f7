"""Clients that append `/v1` to their base URL by themselves reach what those do that don't."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from alchemyst.accounts.models import User
from proxy.models import Provider
from proxy.providers.cache import memory
from tests import gemini
from tests.fakes import FakeProvider
from tests.proxy.conftest import CONTENTS, HISTORY, completion

LONG_KEY = "sk-proj-0123456789abcdefghij"
OTHER_KEY = "gw_0123456789abcdefghij"
QUESTION = HISTORY[-1:]
MODELS = "models"
ASKED = "chat/completions"
Ask = Callable[..., requests.Response]


@pytest.fixture
def ask(http: requests.Session, server: str) -> Ask:
    """Asks a target of the proxy's for an answer, or for its models."""

    def ask(target: str, endpoint: str = ASKED, **headers: str) -> requests.Response:
        url = f"{server}/api/v1/proxy/{target}/{endpoint}"
        if endpoint == MODELS:
            return http.get(url, headers=headers)
        return http.post(url, json=completion(QUESTION), headers=headers)

    return ask


@pytest.fixture
def stored(alice: User, provider: FakeProvider) -> Provider:
    memory.clear()
    made = Provider(owner=alice, name="mine", base_url=f"{provider.url}/v1")
    made.seal(LONG_KEY)
    made.save()
    return made


@pytest.mark.parametrize("endpoint", [ASKED, MODELS])
def test_after_the_name_of_a_stored_provider(
    ask: Ask, stored: Provider, provider: FakeProvider, endpoint: str
):
    answer = ask(f"{stored.name}/v1", endpoint)

    assert answer.status_code == 200
    assert provider.last().path == f"/v1/{endpoint}"
    assert provider.last().headers["Authorization"] == f"Bearer {LONG_KEY}"


def test_after_a_name_that_nothing_is_stored_under_is_told_so(ask: Ask, alice: User):
    answer = ask("nobody/v1")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_target")
    assert "No provider is stored under this name" in answer.json()["error"]["message"]


def test_after_default_lists_the_built_in_model(ask: Ask):
    assert ask("default/v1", MODELS).json() == ask("default", MODELS).json()


def test_after_default_asks_the_built_in_model(ask: Ask):
    answer = ask("default/v1")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_after_preview_previews(ask: Ask):
    assert ask("preview/v1").json()["messages"] == ask("preview").json()["messages"]


@pytest.mark.parametrize("endpoint", [ASKED, MODELS])
@pytest.mark.parametrize("version", ["v1/v1", "v1/v1/", "V1/v1", "v1%2Fv1"])
def test_after_a_base_url_that_has_one(
    ask: Ask, provider: FakeProvider, endpoint: str, version: str
):
    answer = ask(f"{provider.url}/{version}", endpoint, **{"X-Upstream-Api-Key": LONG_KEY})

    assert answer.status_code == 200
    assert provider.last().path.lower() == f"/v1/{endpoint}"


@pytest.mark.parametrize("key", [LONG_KEY, OTHER_KEY])
@pytest.mark.parametrize("path", ["v1/{key}/v1", "v1/v1/{key}", "v1/v1/{key}/v1"])
def test_with_the_key_in_the_path(ask: Ask, provider: FakeProvider, path: str, key: str):
    answer = ask(f"{provider.url}/{path.format(key=key)}")

    assert answer.status_code == 200
    assert provider.last().path == f"/v1/{ASKED}"
    assert provider.last().headers["Authorization"] == f"Bearer {key}"


@pytest.mark.parametrize("path", ["v1", "openai/v1", "v1/openai/v1"])
def test_a_key_that_is_missing_is_told_all_the_same(ask: Ask, provider: FakeProvider, path: str):
    answer = ask(f"{provider.url}/{path}")

    assert "X-Upstream-Api-Key" in answer.json()["error"]["message"]
    assert not provider.received


def test_after_a_base_url_of_geminis(http: requests.Session, server: str, provider: FakeProvider):
    answer = http.post(
        f"{gemini.base_of(server, provider)}/v1beta/v1beta/models/m:generateContent",
        json={"contents": CONTENTS},
        headers={"x-goog-api-key": gemini.KEY},
    )

    assert answer.status_code == 200
    assert provider.last().path == "/gemini/v1beta/models/m:generateContent"


def test_after_a_host_without_dots_it_is_the_hosts_own(ask: Ask):
    answer = ask("localhost/v1", **{"X-Upstream-Api-Key": LONG_KEY})

    assert "No provider is stored" not in answer.json()["error"]["message"]
    assert answer.json()["error"]["code"] == "invalid_target"
