"""The clients on Node: the openai package and the AI SDK, where Node and they are installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import PICTURE
from tests.clients.node import Node, where_node_is
from tests.fakes import ANSWER, FakeProvider

# script, and the provider that the AI SDK speaks through
OPENAI, AI, COMPATIBLE = ("openai", ""), ("ai", "openai"), ("ai", "openai-compatible")

pytestmark = where_node_is

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(node: Node, client: tuple[str, str], through: Callable[..., str], token: str) -> Run:
    """Runs a case of a client, and tells what it came to."""
    script, by = client

    def run(case: str, behaviour: str = "", retries: int = 0) -> dict[str, Any]:
        url = through(behaviour)
        asked = {"by": by, "picture": PICTURE, "retries": retries}
        return node.run(script, case, url=url, token=token, **asked)

    return run


@pytest.fixture(params=[OPENAI, AI, COMPATIBLE], ids=["openai", "ai-openai", "ai-compatible"])
def client(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


def test_answers(run: Run, provider: FakeProvider):
    plain, streamed = run("plain"), run("streamed")

    assert plain["texts"] == streamed["texts"] == [ANSWER]
    assert streamed["tokens"] == 25
    assert "result=filtered; kept=3; dropped=2" in plain["context"]
    assert len(provider.received[0].json["messages"]) == 3
    assert provider.last().json["stream_options"] == {"include_usage": True}


def test_tools_in_parallel_and_their_results(run: Run, provider: FakeProvider):
    done = run("tools")

    assert [(id, _read(arguments)) for id, arguments in done["calls"]] == [
        ("call_0", {"city": "Paris"}),
        ("call_1", {"city": "Rome"}),
    ]
    assert done["texts"] == [ANSWER]
    roles = [message["role"] for message in provider.last().json["messages"]]
    assert roles[-4:] == ["user", "assistant", "tool", "tool"]


def test_tools_from_a_stream_whose_calls_come_in_turns(run: Run):
    done = run("streamedTools")

    assert [(id, _read(arguments)) for id, arguments in done["calls"]] == [
        ("call_0", {"city": "Paris"}),
        ("call_1", {"city": "Rome"}),
    ]


def _read(arguments: str | dict[str, str]) -> dict[str, str]:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


def test_structured_output(run: Run, provider: FakeProvider):
    assert run("schema")["parsed"] == run("streamedSchema")["parsed"] == {"city": "Paris"}

    schema = provider.last().json["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["city"]


def test_a_picture(run: Run, provider: FakeProvider):
    assert run("picture")["texts"] == [ANSWER]

    _, picture = provider.last().json["messages"][0]["content"]
    assert picture["image_url"]["url"] == PICTURE


@pytest.mark.parametrize("client", [OPENAI], indirect=False, ids=["openai"])
def test_several_answers_with_their_logprobs_and_a_list_of_models(run: Run):
    done = run("several")

    assert done["texts"] == [ANSWER] * 4
    assert done["logprobs"] == -0.125
    assert run("models")["models"] == ["gpt-test"]


def test_an_error_has_its_status_and_message(run: Run, provider: FakeProvider):
    limited = run("plain", "limited")
    missing = run("plain", "fail/404")

    assert (limited["status"], limited["retryAfter"]) == (429, "7")
    assert "Slow down" in limited["message"]
    assert (missing["status"], len(provider.received)) == (404, 2)
    assert "Failed with 404" in missing["message"]


def test_an_error_that_passes_is_tried_again_when_the_provider_says(
    run: Run, provider: FakeProvider
):
    done = run("plain", "overloaded", retries=1)

    assert "Overloaded" in done["message"]
    assert 0.8 <= done["seconds"] < 2
    assert len(provider.received) == 2


@pytest.mark.parametrize("fault", ["error-in-stream", "cut"])
def test_a_stream_that_fails_is_an_error(run: Run, fault: str):
    done = run("streamWithError", fault)

    assert "texts" not in done
    assert "Overloaded" in str(done) or "broke off" in str(done)


@pytest.mark.parametrize(("case", "behaviour"), [("leave", "slow"), ("abort", "stall")])
def test_leaving_closes_the_provider(run: Run, provider: FakeProvider, case: str, behaviour: str):
    run(case, behaviour)

    assert provider.last().is_closed.wait(2)
