"""The route `default`: the built-in model, or whatever server the operator put in its place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
import requests
from django.conf import LazySettings

from proxy.errors import ModelUnavailable
from proxy.upstream import builtin, builtin_state
from tests.fakes import ANSWER, FakeProvider
from tests.proxy.conftest import HISTORY

Sdk = Callable[..., openai.OpenAI]
C1 = "alchemyst-ai/alchemyst-c1"
HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def default(server: str) -> str:
    return f"{server}/api/v1/proxy/default"


@pytest.fixture
def installed() -> None:
    try:
        builtin.weights()
    except ModelUnavailable:
        pytest.skip("the weights of the built-in model are not installed")


@pytest.mark.model
@pytest.mark.usefixtures("installed")
@pytest.mark.slow
class TestTheBuiltInModel:
    def test_answers_whole(self, sdk: Sdk, default: str):
        answer = sdk(default).chat.completions.create(model=C1, messages=HELLO, max_tokens=20)

        assert answer.choices[0].message.content
        assert answer.model == C1
        assert answer.usage is not None
        assert 0 < answer.usage.completion_tokens <= 20

    def test_answers_streamed(self, sdk: Sdk, default: str):
        stream = sdk(default).chat.completions.create(
            model=C1, messages=HELLO, max_tokens=20, stream=True
        )

        chunks = list(stream)

        assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) > 3
        assert chunks[-1].choices[0].finish_reason in ("stop", "length")

    def test_serves_several_callers_at_once(self, sdk: Sdk, default: str):
        client = sdk(default)

        def ask(number: int) -> str | None:
            question = [{"role": "user", "content": f"Count to {number}."}]
            answer = client.chat.completions.create(model=C1, messages=question, max_tokens=10)
            return answer.choices[0].message.content

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, range(4)))

        assert all(answers)

    def test_is_filtered_like_every_other(self, http: requests.Session, default: str):
        body = {"model": C1, "messages": HISTORY, "max_tokens": 5}

        answer = http.post(f"{default}/chat/completions", json=body)

        assert "result=filtered; kept=5; dropped=2" in answer.headers["x-alchemyst-context"]

    def test_stops_when_the_caller_leaves(self, http: requests.Session, default: str, leaving):
        """Four callers who leave would hold all of its places, were they not let go."""
        story = {"model": C1, "max_tokens": 2000, "stream": True}
        story["messages"] = [{"role": "user", "content": "Tell a very long story."}]
        for _ in range(4):
            connection = leaving(f"{default}/chat/completions", story)
            assert connection.recv(100)
            connection.close()

        last = {"model": C1, "max_tokens": 2, "messages": HELLO}
        answer = http.post(f"{default}/chat/completions", json=last)

        assert answer.status_code == 200

    def test_says_that_it_cannot_see(self, http: requests.Session, default: str):
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        body = {"model": C1, "messages": [{"role": "user", "content": [image]}]}

        answer = http.post(f"{default}/chat/completions", json=body)

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "invalid_messages"


def test_it_lists_its_model(sdk: Sdk, default: str):
    assert [model.id for model in sdk(default).models.list()] == [C1]


def test_another_model_is_not_found(sdk: Sdk, default: str):
    with pytest.raises(openai.NotFoundError) as raised:
        sdk(default).chat.completions.create(model="gpt-4o", messages=HELLO)

    assert raised.value.code == "model_not_found"
    assert C1 in raised.value.message


def test_it_is_the_operators_server_by_settings_alone(
    sdk: Sdk, default: str, provider: FakeProvider, settings
):
    settings.C1_BASE_URL = f"{provider.url}/v1/"
    settings.C1_API_KEY = "sk-operator"
    settings.C1_MODEL = "llama-3.1-8b"

    answer = sdk(default).chat.completions.create(model=C1, messages=HELLO, seed=7)

    assert answer.choices[0].message.content == ANSWER
    sent = provider.last()
    assert sent.headers["Authorization"] == "Bearer sk-operator"
    assert sent.json == {"model": "llama-3.1-8b", "messages": HELLO, "seed": 7}


def test_without_its_weights_it_says_what_to_do(
    sdk: Sdk, default: str, monkeypatch: pytest.MonkeyPatch
):
    def missing() -> None:
        raise ModelUnavailable(builtin_state.NOT_INSTALLED)

    monkeypatch.setattr(builtin, "_own", builtin.OwnServer())
    monkeypatch.setattr(builtin, "weights", missing)

    with pytest.raises(openai.InternalServerError) as raised:
        sdk(default).chat.completions.create(model=C1, messages=HELLO)

    assert raised.value.status_code == 503
    assert "make setup" in raised.value.message


def test_a_model_that_does_not_start_here_says_why(
    sdk: Sdk, default: str, settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings.DATA_DIR = tmp_path
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF, but not really")
    monkeypatch.setattr(builtin, "_own", builtin.OwnServer())
    monkeypatch.setattr(builtin, "weights", lambda: damaged)

    with pytest.raises(openai.InternalServerError) as raised:
        sdk(default).chat.completions.create(model=C1, messages=HELLO)

    assert raised.value.status_code == 503
    assert "could not be loaded" in raised.value.message
    assert str(tmp_path) not in raised.value.message
