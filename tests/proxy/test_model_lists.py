"""A provider's list of models, as a key that is limited to some of them sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests
from aiohttp import web
from google import genai
from google.genai import types

from alchemyst.accounts.models import ApiKey, User
from proxy.models import UsageRecord
from tests.fakes import FakeProvider, Received
from tests.faults import JSON, head, write_raw

OPENAI = (
    b'{"object": "list",  "data":[{"id": "gpt-4o", "created": 1.50},'
    b' {"id":"o3", "x": {"a" : 1}},{"id": "gpt-5"}], "has_more": false}'
)
GEMINI = (
    b'{"models":[{"name": "models/gemini-2.0-flash", "version":"2.0"},{"name": "models/embed-1"},'
    b'{"name":"tunedModels/mine"}],"nextPageToken":"t"}'
)
ODD = {
    "other": b'{"models": [{"id": "gpt-4o"}]}',
    "nameless": b'{"data": [{"id": "gpt-4o"}, {"name": "o3"}]}',
    "array": b'[{"id": "o3"}]',
    "no-json": b'{"data": [',
    "numbers": b'{"data": [{"id": 3}]}',
    "too-long": b'{"data": [{"id": "o3"}]' + b" " * 4 * 1024 * 1024 + b"}",
}
ANSWERS = {"openai": OPENAI, "gemini": GEMINI, **ODD}


async def listing(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer a list of models with what the path names: /listing/openai/v1/models."""
    body = ANSWERS[request.path.split("/")[2]]
    return web.Response(body=body, content_type="application/json", headers={"x-request-id": "u1"})


async def no_list(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(status=403, body=OPENAI, content_type="application/json")


async def as_text(request: web.Request, received: Received) -> web.StreamResponse:
    return web.Response(body=OPENAI, content_type="text/plain")


async def cut_list(request: web.Request, received: Received) -> web.StreamResponse:
    return await write_raw(request, head(JSON, "Content-Length: 1000"), OPENAI[:40])


@pytest.fixture(autouse=True)
def _listing(provider: FakeProvider) -> None:
    """Have the provider answer lists."""
    provider.behaviours |= {
        "listing": listing,
        "no-list": no_list,
        "as-text": as_text,
        "cut-list": cut_list,
    }


@pytest.fixture
def limited(alice: User) -> Callable[..., str]:
    """Make a key of Alice's that is limited to models."""

    def make(*models: str) -> str:
        return ApiKey.make(alice, name="k", scopes=["proxy"], allowed_models=list(models))[1]

    return make


@pytest.fixture
def ask(server: str, provider: FakeProvider, token: str) -> Callable[..., requests.Response]:
    """Ask for the list that a behaviour of the provider answers, by a key or as Alice."""

    def ask(behaviour: str, key: str = token, tail: str = "v1/sk-1/models") -> requests.Response:
        return requests.get(
            f"{server}/api/v1/proxy/{provider.url}/{behaviour}/{tail}",
            headers={"Authorization": f"Bearer {key}"},
        )

    return ask


class TestALimitedKey:
    def test_sees_the_models_that_it_may_use_and_their_bytes(self, ask, limited):
        answer = ask("listing/openai", limited("gpt-*"))

        assert answer.status_code == 200
        assert answer.json() == json.loads(OPENAI) | {
            "data": [{"id": "gpt-4o", "created": 1.5}, {"id": "gpt-5"}]
        }
        assert b'{"id": "gpt-4o", "created": 1.50}' in answer.content
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["x-request-id"] == "u1"

    def test_that_may_use_none_sees_none(self, ask, limited):
        assert ask("listing/openai", limited()).json()["data"] == []

    def test_sees_geminis_by_the_names_that_their_path_has(self, ask, limited):
        answer = ask("listing/gemini", limited("gemini-*", "tunedModels/*"), "v1beta/models?key=k")

        names = [model["name"] for model in answer.json()["models"]]
        assert names == ["models/gemini-2.0-flash", "tunedModels/mine"]
        assert answer.json()["nextPageToken"] == "t"

    def test_sees_the_built_in_model_where_it_may_use_it(self, server: str, limited):
        def shown(*models: str) -> list[Any]:
            response = requests.get(
                f"{server}/api/v1/proxy/default/models",
                headers={"Authorization": f"Bearer {limited(*models)}"},
            )
            assert int(response.headers["content-length"]) == len(response.content)
            return response.json()["data"]

        assert shown("gpt-*") == []
        assert [model["id"] for model in shown("alchemyst-ai/*")] == ["alchemyst-ai/alchemyst-c1"]

    def test_sees_it_through_the_packages(
        self, server: str, provider: FakeProvider, limited, sdk: Callable[..., openai.OpenAI]
    ):
        base = f"{server}/api/v1/proxy/{provider.url}/listing"
        client = sdk(f"{base}/openai/v1/sk-1", default_headers={})
        shown = {"Authorization": f"Bearer {limited('o3', 'embed-1')}"}
        options = types.HttpOptions(base_url=f"{base}/gemini", headers=shown)
        google = genai.Client(api_key="k", http_options=options)

        assert [each.id for each in client.models.list(extra_headers=shown)] == ["o3"]
        assert google.models.list(config={"page_size": 5}).page[0].name == "models/embed-1"
        google.close()

    @pytest.mark.parametrize("name", ODD)
    def test_sees_what_is_no_such_list_as_it_is(self, ask, limited, name: str):
        """What it may use is decided when it asks for it."""
        answer = ask(f"listing/{name}", limited("gpt-*"))

        assert (answer.status_code, answer.content) == (200, ODD[name])

    @pytest.mark.parametrize(("behaviour", "status"), [("no-list", 403), ("as-text", 200)])
    def test_sees_another_answer_as_it_is(self, ask, limited, behaviour: str, status: int):
        answer = ask(behaviour, limited("gpt-*"))

        assert (answer.status_code, answer.content) == (status, OPENAI)

    def test_hears_that_a_list_broke_off(self, ask, limited, rows):
        answer = ask("cut-list", limited("gpt-*"))

        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream_unreachable"
        assert [(row.status, row.outcome) for row in rows()] == [(502, UsageRecord.Outcome.BROKEN)]


@pytest.mark.parametrize(
    ("name", "tail"), [("openai", "v1/sk-1/models"), ("gemini", "v1beta/models?key=k")]
)
def test_without_a_limit_the_list_comes_byte_for_byte(ask, name: str, tail: str):
    assert ask(f"listing/{name}", tail=tail).content == ANSWERS[name]
