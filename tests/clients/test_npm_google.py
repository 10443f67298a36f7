"""@google/genai on Node: Gemini through the proxy, as Google's own package sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import PICTURE, PIXEL
from tests.clients.node import Node, where_node_is
from tests.fakes import ANSWER, FakeProvider
from tests.gemini import base_of

Run = Callable[..., dict[str, Any]]
KEY = "AIza-provider-1"

pytestmark = where_node_is


@pytest.fixture
def run(node: Node, server: str, provider: FakeProvider, token: str) -> Run:
    """Runs a case of the package, and tells what it came to."""

    def run(case: str, behaviour: str = "gemini") -> dict[str, Any]:
        url = base_of(server, provider, behaviour)
        return node.run("google", case, url=url, token=token, key=KEY, picture=PICTURE)

    return run


def test_answers(run: Run, provider: FakeProvider):
    plain, streamed = run("plain"), run("streamed")

    assert plain["texts"] == streamed["texts"] == [ANSWER]
    assert (plain["tokens"], streamed["thoughtSignature"]) == (28, "c2lnbmF0dXJl")
    whole, events = provider.received
    assert whole.path == "/gemini/v1beta/models/gemini-test:generateContent"
    assert events.path.endswith(":streamGenerateContent?alt=sse")
    assert len(whole.json["contents"]) == 3
    sent = {name.lower(): value for name, value in whole.headers.items()}
    assert sent["x-goog-api-key"] == KEY
    assert "authorization" not in sent


def test_a_chat(run: Run, provider: FakeProvider):
    assert run("chat")["texts"] == [ANSWER]

    roles = [each["role"] for each in provider.last().json["contents"]]
    assert roles == ["user", "model", "user"]


def test_functions_in_parallel_and_their_results(run: Run, provider: FakeProvider):
    done = run("tools")

    assert (done["calls"], done["texts"]) == (["Rome", "Oslo"], [ANSWER])
    called, results = provider.last().json["contents"][-2:]
    assert called["parts"][0]["thoughtSignature"] == "c2ln"
    assert ["functionResponse" in part for part in results["parts"]] == [True, True]


def test_a_picture_and_structured_output(run: Run, provider: FakeProvider):
    assert run("picture")["texts"] == [json.dumps({"city": "Paris"})]

    _, picture = provider.last().json["contents"][0]["parts"]
    assert picture["inlineData"] == {"mimeType": "image/png", "data": PIXEL}
    assert provider.last().json["generationConfig"]["responseMimeType"] == "application/json"


def test_what_is_no_conversation(run: Run):
    done = run("others")

    assert (done["embeddings"], done["totalTokens"]) == (2, 7)
    assert done["models"] == ["models/gemini-test"]


@pytest.mark.parametrize("status", [400, 404, 429, 503])
def test_an_error_has_its_status_and_message(run: Run, provider: FakeProvider, status: int):
    done = run("plain", f"gemini-fail/{status}")

    assert (done["kind"], done["status"]) == ("ApiError", status)
    assert f"Failed with {status}" in done["message"]
    assert len(provider.received) == (2 if status == 400 else 1)


def test_a_stream_that_breaks_is_an_error(run: Run):
    done = run("streamWithError", "gemini-cut")

    assert "texts" not in done
    assert "broke off" in done["message"]


@pytest.mark.parametrize(("case", "behaviour"), [("leave", "slow"), ("abort", "stall")])
def test_leaving_closes_the_provider(run: Run, provider: FakeProvider, case: str, behaviour: str):
    run(case, behaviour)

    assert provider.last().is_closed.wait(2)
