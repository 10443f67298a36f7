"""langchain-anthropic: Anthropic's Messages through its own classes."""

from __future__ import annotations

from collections.abc import Callable

import anthropic
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import SecretStr

from tests.anthropic import KEY, MODEL, base_of
from tests.clients.conftest import WEATHER
from tests.fakes import ANSWER, FakeProvider

Chat = Callable[..., ChatAnthropic]
QUESTION = "How long does sourdough bread have to bake?"


@pytest.fixture
def chat(server: str, provider: FakeProvider, token: str) -> Chat:
    """Makes a model that is reached through the proxy, in a behaviour of the provider's."""

    def chat(behaviour: str = "anthropic") -> ChatAnthropic:
        return ChatAnthropic(
            model=MODEL,
            base_url=base_of(server, provider, behaviour),
            api_key=SecretStr(token),
            default_headers={"X-Upstream-Api-Key": KEY},
            max_retries=0,
        )

    return chat


def test_a_history_that_is_filtered(chat: Chat, provider: FakeProvider):
    answer = chat().invoke(
        [
            SystemMessage("Be brief."),
            HumanMessage("What is the capital of France?"),
            AIMessage("The capital of France is Paris, on the river Seine."),
            HumanMessage("Which film by Tarkovsky should I watch first?"),
            AIMessage("Start with Stalker, a slow and beautiful journey."),
            HumanMessage(QUESTION),
        ]
    )

    assert answer.content == ANSWER
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_token_details"]["cache_read"] == 16
    assert provider.last().json["system"] == "Be brief."
    assert len(provider.last().json["messages"]) == 3
    assert "Paris" not in provider.last().body.decode()


def test_a_stream(chat: Chat):
    assert "".join(piece.text for piece in chat().stream(QUESTION)) == ANSWER


def test_tools_in_parallel_and_their_results(chat: Chat, provider: FakeProvider):
    model = chat().bind_tools([WEATHER])

    called = model.invoke(QUESTION)
    results = [ToolMessage("rain", tool_call_id=call["id"]) for call in called.tool_calls]
    answer = model.invoke([HumanMessage(QUESTION), called, *results])

    assert [call["args"] for call in called.tool_calls] == [{"city": "Rome"}, {"city": "Oslo"}]
    assert answer.content == ANSWER
    assert [m["role"] for m in provider.last().json["messages"]] == ["user", "assistant", "user"]


def test_an_error_has_its_class_and_words(chat: Chat):
    with pytest.raises(anthropic.APIStatusError) as raised:
        chat("anthropic-fail/529").invoke(QUESTION)

    assert raised.value.status_code == 529
    assert "failed, 529" in str(raised.value)


def test_a_stream_that_breaks_is_an_error(chat: Chat):
    with pytest.raises(anthropic.APIStatusError, match="broke off"):
        list(chat("anthropic-cut/cleanly").stream(QUESTION))
