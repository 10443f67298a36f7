"""What passes unread, of callers who may not use every model or may not spend without end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal

import pytest
import requests
from aiohttp import web

from alchemyst.accounts.models import ApiKey, User
from proxy.models import Budget, Price
from tests.cost.test_budgets import spent
from tests.fakes import FakeProvider, Received
from tests.proxy.conftest import KEY

AUDIO = b"\0\xff\r\n--not-the-boundary\r\n" * 9000
NAMED = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=XyZ"}
Ask = Callable[..., requests.Response]


def part(head: str, value: bytes) -> bytes:
    return b"--XyZ\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + value


def form(*parts: bytes) -> bytes:
    return b"".join(each + b"\r\n" for each in parts) + b"--XyZ--\r\n"


FILE = part('name="file"; filename="model.wav"', AUDIO)
ALLOWED = part('name="model"', b"whisper-1")
OTHER = part('name="model"', b"other")
INNER = b'--Abc\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n--Abc--\r\n'
CHAT = {"max_tokens": 1, "messages": [{"role": "user", "content": "Hello."}]}


async def used(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer that a million tokens were read."""
    usage = {"prompt_tokens": 1_000_000, "total_tokens": 1_000_000}
    return web.json_response({"object": "list", "model": "embed-test", "usage": usage})


@pytest.fixture(autouse=True)
def _used(provider: FakeProvider) -> None:
    provider.behaviours["used"] = used


@pytest.fixture
def limited(alice: User) -> str:
    """An API key for two models alone."""
    allowed = ["whisper-1", "embed-*"]
    return ApiKey.make(alice, name="k", scopes=["proxy"], allowed_models=allowed)[1]


@pytest.fixture
def ask(server: str, provider: FakeProvider, limited: str) -> Ask:
    def ask(
        body: bytes = b"", headers: dict[str, str] | None = None, *, path: str = "audio",
        method: str = "POST", bearer: str = limited, behaviour: str = "plain",
    ) -> requests.Response:  # fmt: skip
        shown = {"Authorization": f"Bearer {bearer}", "X-Upstream-Api-Key": KEY}
        url = f"{server}/api/v1/proxy/{provider.url}/{behaviour}/v1/{path}"
        return requests.request(method, url, data=body, headers=shown | (headers or {}))

    return ask


class TestALimitedKey:
    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b'{"input": "x", "model": "embed-1"}', NAMED),
            (b'{"input": "x", "model": "embed-1"}', {}),
            (form(ALLOWED, FILE), FORM),
            (form(FILE, ALLOWED), FORM),
            (form(FILE, part("name=model", b"whisper-1")), FORM),
            (form(ALLOWED, FILE, ALLOWED), FORM),
            (form(FILE, ALLOWED), {"content-type": 'multipart/form-data; boundary="XyZ"'}),
        ],
    )
    def test_passes_with_a_model_of_its_own(
        self, ask: Ask, provider: FakeProvider, rows, body: bytes, headers: dict[str, str]
    ):
        assert ask(body, headers).status_code == 200
        assert provider.last().body == body
        (row,) = rows()
        assert row.model in ("embed-1", "whisper-1")

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b'{"model": "other"}', NAMED),
            (b'{"input": "x"}', NAMED),
            (b'{"model": "embed-1"}', {"content-type": "application/x-www-form-urlencoded"}),
            (gzip.compress(b'{"model": "embed-1"}'), NAMED | {"content-encoding": "gzip"}),
            (form(FILE), FORM),
            (form(OTHER, FILE), FORM),
            (form(FILE, OTHER), FORM),
            (form(ALLOWED, OTHER), FORM),
            (form(ALLOWED, part("NAME = model", b"other")), FORM),
            (form(ALLOWED, part("name*=utf-8''mod%65l", b"other")), FORM),
            (form(ALLOWED, FILE), {"content-type": "multipart/form-data"}),
            (form(ALLOWED, INNER), {"content-type": f"{FORM['content-type']}; boundary=Abc"}),
            (form(ALLOWED, INNER), {"content-type": f"{FORM['content-type']}; boundary*=''Abc"}),
            (form(ALLOWED), {"content-type": "multipart/form-data; xboundary=XyZ"}),
            (form(ALLOWED, part('name*0="mo"; name*1="del"', b"other")), FORM),
            (form(ALLOWED, part('name="mo\\del"', b"other")), FORM),
            (form(ALLOWED, part('name="model[]"', b"other")), FORM),
            (form(ALLOWED, part(f'x="{"x" * 17_000}"; name="model"', b"other")), FORM),
            (form(ALLOWED, part('name="model"\n\r\nother', b"x"), ALLOWED), FORM),
            (b'{"model": "embed-1", "models": ["other"]}', NAMED),
            (b'{"model": "embed-1", "fallbacks": [{"model": "other"}]}', NAMED),
        ],
    )
    def test_is_refused_for_any_other(
        self, ask: Ask, provider: FakeProvider, body: bytes, headers: dict[str, str]
    ):
        answer = ask(body, headers)

        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "model_not_allowed"
        assert not provider.received

    def test_is_stopped_where_a_form_goes_on_to_another(self, ask: Ask, provider: FakeProvider):
        answer = ask(form(ALLOWED, FILE, OTHER), FORM)

        assert answer.status_code == 403
        # What had gone up by then was no whole form.
        assert not provider.received

    def test_may_not_name_its_model_twice(self, ask: Ask, provider: FakeProvider):
        answer = ask(b'{"model": "embed-1", "model": "other"}', NAMED)

        assert answer.status_code == 400
        assert not provider.received

    @pytest.mark.parametrize("path", ["files", "batches/b1", "nobody_knows"])
    def test_is_refused_where_no_model_is_named(self, ask: Ask, provider: FakeProvider, path: str):
        answer = ask(method="GET", path=path)

        assert answer.json()["error"]["code"] == "model_not_allowed"
        assert "none can be read" in answer.json()["error"]["message"]
        assert not provider.received

    @pytest.mark.parametrize(
        ("path", "status"),
        [("models/embed-1", 200), ("models/other", 403), ("deployments/embed-1/embeddings", 200)],
    )
    def test_may_ask_by_a_path_that_names_it(self, ask: Ask, path: str, status: int):
        assert ask(method="GET", path=path).status_code == status

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("openai/deployments/embed-1/chat/completions", 200),
            ("openai/deployments/other/chat/completions", 403),
            ("openai/Deployments/other/embeddings", 403),
            ("openai%2Fdeployments/other/embeddings", 403),
            ("embeddings?model=embed-2", 200),
            ("embeddings?MODEL=other", 403),
        ],
    )
    def test_may_not_have_another_in_the_url(self, ask: Ask, path: str, status: int):
        body = json.dumps({"model": "embed-1"} | CHAT).encode()

        assert ask(body, NAMED, path=path).status_code == status

    @pytest.mark.parametrize("path", ["chat/completions", "messages"])
    @pytest.mark.parametrize("field", ["models", "fallbacks"])
    def test_may_not_fall_back_to_another(self, ask: Ask, provider: FakeProvider, path, field):
        body = json.dumps({"model": "embed-1", field: [{"model": "other"}]} | CHAT).encode()

        assert ask(body, NAMED, path=path).json()["error"]["message"].startswith("This API key")
        assert not provider.received

    def test_may_not_hide_others_in_a_batch(self, ask: Ask, provider: FakeProvider):
        asked = [{"custom_id": "1", "params": {"model": "other"} | CHAT}]
        body = json.dumps({"model": "embed-1", "requests": asked}).encode()

        assert ask(body, NAMED, path="messages/batches").status_code == 403
        assert not provider.received

    def test_is_not_read_beyond_a_bound(self, ask: Ask, provider: FakeProvider, settings):
        settings.PROXY_MAX_BODY = 1_000
        # More than comes in one piece, however it is cut.
        large = part('name="file"; filename="model.wav"', b"x" * 2_000_000)

        assert ask(form(large, ALLOWED), FORM).status_code == 403
        assert not provider.received


class TestABudget:
    @pytest.fixture
    def budget(self, alice: User, provider: FakeProvider) -> Budget:
        """Half a dollar, where a million tokens cost one."""
        host = f"127.0.0.1:{provider.port}"
        Price.objects.create(host=host, model="embed-test", input=1, output=0, since="2026-01-01")
        return Budget.objects.create(user=alice, limit=Decimal("0.5"))

    def test_pays_for_what_passes_and_is_spent_by_it(self, budget: Budget, token: str, ask: Ask):
        body = json.dumps({"model": "embed-test", "input": "x"}).encode()
        asked = {"path": "embeddings", "bearer": token, "behaviour": "used"}

        first = ask(body, NAMED, **asked)
        assert (first.status_code, spent(budget)) == (200, 10**9)
        second = ask(body, NAMED, **asked)

        assert (second.status_code, second.json()["error"]["code"]) == (429, "insufficient_quota")
