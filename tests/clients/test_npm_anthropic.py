"""Anthropic through the proxy on Node, as its own package sees it, and as the AI SDK does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.anthropic import KEY, base_of
from tests.clients.node import Node, where_node_is
from tests.fakes import ANSWER, FakeProvider

Run = Callable[..., dict[str, Any]]

pytestmark = where_node_is


@pytest.fixture
def run(node: Node, server: str, provider: FakeProvider, token: str) -> Run:
    """Runs a case of the package, and tells what it came to."""

    def run(case: str, behaviour: str = "anthropic") -> dict[str, Any]:
        url = base_of(server, provider, behaviour)
        return node.run("anthropic", case, url=url, token=token, key=KEY)

    return run


def test_answers(run: Run, provider: FakeProvider):
    plain, streamed = run("plain"), run("streamed")

    assert plain["texts"] == streamed["texts"] == [ANSWER]
    assert (plain["tokens"], streamed["signature"]) == (4, "c2ln")
    whole, _ = provider.received
    assert len(whole.json["messages"]) == 3
    assert {name.lower(): value for name, value in whole.headers.items()}["x-api-key"] == KEY


def test_tools_in_parallel_and_their_results(run: Run, provider: FakeProvider):
    done = run("tools")

    assert (done["calls"], done["texts"]) == (["Rome", "Oslo"], [ANSWER])
    *_, results = provider.last().json["messages"]
    assert [block["tool_use_id"] for block in results["content"]] == ["toolu_0", "toolu_1"]


def test_counts_and_models(run: Run, provider: FakeProvider):
    done = run("others")

    assert (done["tokens"], done["models"]) == (7, ["claude-test"])
    assert len(provider.received[0].json["messages"]) == 5


@pytest.mark.parametrize(
    ("behaviour", "status", "message"),
    [("anthropic-fail/429", 429, "failed, 429"), ("anthropic-fail/529", 529, "failed, 529")],
)
def test_the_providers_own_error(run: Run, behaviour: str, status: int, message: str):
    error = run("plain", behaviour)

    assert (error["status"], message in error["message"]) == (status, True)


@pytest.mark.parametrize("how", ["anthropic-cut/by-reset", "anthropic-cut/cleanly"])
def test_a_stream_that_breaks(run: Run, how: str):
    assert "broke off" in run("streamed", how)["message"]


class TestTheAiSdk:
    """Its base URL ends in `/v1`."""

    @pytest.fixture
    def run(self, node: Node, server: str, provider: FakeProvider, token: str) -> Run:
        def run(case: str, behaviour: str = "anthropic") -> dict[str, Any]:
            url = f"{base_of(server, provider, behaviour)}/v1"
            headers = {"X-Upstream-Api-Key": KEY}
            return node.run("ai", case, by="anthropic", url=url, token=token, headers=headers)

        return run

    def test_answers(self, run: Run, provider: FakeProvider):
        plain, streamed = run("plain"), run("streamed")

        assert plain["texts"] == streamed["texts"] == [ANSWER]
        assert "result=filtered; kept=3; dropped=2" in plain["context"]
        assert len(provider.received[0].json["messages"]) == 3

    def test_shows_the_providers_own_error(self, run: Run):
        error = run("plain", "anthropic-fail/400")

        assert (error["status"], error["message"]) == (400, "messages.0: failed, 400")

    @pytest.mark.parametrize("how", ["anthropic-cut/by-reset", "anthropic-cut/cleanly"])
    def test_is_told_of_a_stream_that_breaks(self, run: Run, how: str):
        assert "broke off" in str(run("streamWithError", how))
