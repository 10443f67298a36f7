"""OpenAI's Responses by the clients on Node: the openai package, and the AI SDK's own default."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import PICTURE
from tests.clients.node import Node, where_node_is
from tests.fakes import ANSWER, FakeProvider

pytestmark = where_node_is

Run = Callable[..., dict[str, Any]]


@pytest.fixture(params=["responses", "ai"], ids=["openai", "ai-openai"])
def run(request: pytest.FixtureRequest, node: Node, through: Callable[..., str], token: str) -> Run:
    """Runs a case of a client, and tells what it came to."""

    def run(case: str, behaviour: str = "responses") -> dict[str, Any]:
        asked = {"by": "responses", "picture": PICTURE, "retries": 0}
        return node.run(request.param, case, url=through(behaviour), token=token, **asked)

    return run


def test_answers(run: Run, provider: FakeProvider):
    plain, streamed = run("plain"), run("streamed")

    assert plain["texts"] == streamed["texts"] == [ANSWER]
    assert streamed["tokens"] == 30
    assert "result=" in plain["context"]
    assert provider.last().path == "/responses/v1/responses"


def test_tools_in_parallel_and_their_results(run: Run, provider: FakeProvider):
    done = run("tools")

    assert [(id, _read(arguments)) for id, arguments in done["calls"]] == [
        ("call_0", {"city": "Paris"}),
        ("call_1", {"city": "Rome"}),
    ]
    assert done["texts"] == [ANSWER]
    kinds = [item.get("type") for item in provider.last().json["input"]]
    assert kinds.count("function_call") == kinds.count("function_call_output") == 2


def test_tools_from_a_stream(run: Run):
    done = run("streamedTools")

    assert [_read(arguments)["city"] for _, arguments in done["calls"]] == ["Paris", "Rome"]


def _read(arguments: str | dict[str, str]) -> dict[str, str]:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


def test_structured_output(run: Run):
    assert run("schema")["parsed"] == run("streamedSchema")["parsed"] == {"city": "Paris"}


def test_a_picture(run: Run, provider: FakeProvider):
    assert run("picture")["texts"] == [ANSWER]

    assert PICTURE in str(provider.last().json["input"])


@pytest.mark.parametrize("count", [1, 5])
def test_a_stream_that_breaks_is_an_error_with_our_words(run: Run, count: int):
    assert "broke off" in str(run("streamWithError", f"responses-cut/{count}"))


def test_a_stream_that_is_cut_before_its_response_is_an_error(run: Run):
    done = run("streamWithError", "responses-cut/0")

    assert done.get("kind")
    assert "texts" not in done


@pytest.mark.parametrize(("case", "behaviour"), [("leave", "responses-slow"), ("abort", "stall")])
def test_leaving_closes_the_provider(run: Run, provider: FakeProvider, case: str, behaviour: str):
    run(case, behaviour)

    assert provider.last().is_closed.wait(2)
