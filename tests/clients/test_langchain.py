"""langchain-openai: the same through its own classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.clients.conftest import PICTURE, WEATHER
from tests.fakes import ANSWER, FakeProvider

Chat = Callable[..., ChatOpenAI]
QUESTION = "How long does sourdough bread have to bake?"


class Place(BaseModel):
    """A place on a map."""

    city: str


@pytest.fixture
def chat(through: Callable[..., str], token: str) -> Chat:
    """Makes a model that is reached through the proxy, in a behaviour of the provider's."""

    def chat(behaviour: str = "", **options) -> ChatOpenAI:
        url, key = through(behaviour), SecretStr(token)
        return ChatOpenAI(
            model="gpt-test", base_url=url, api_key=key, **{"max_retries": 0} | options
        )

    return chat


def test_a_whole_answer(chat: Chat):
    answer = chat().invoke(QUESTION)

    assert answer.content == ANSWER
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_token_details"]["cache_read"] == 16


def test_a_stream(chat: Chat, provider: FakeProvider):
    pieces = list(chat(stream_usage=True).stream(QUESTION))

    assert "".join(str(piece.content) for piece in pieces) == ANSWER
    assert provider.last().json["stream_options"] == {"include_usage": True}


async def test_a_stream_asynchronously(chat: Chat):
    assert "".join([str(piece.content) async for piece in chat().astream(QUESTION)]) == ANSWER


def test_a_history_that_is_filtered(chat: Chat, provider: FakeProvider):
    chat().invoke(
        [
            SystemMessage("Be brief."),
            HumanMessage("What is the capital of France?"),
            AIMessage("The capital of France is Paris, on the river Seine."),
            HumanMessage("Which film by Tarkovsky should I watch first?"),
            AIMessage("Start with Stalker, a slow and beautiful journey."),
            HumanMessage(QUESTION),
        ]
    )

    said = [message["content"] for message in provider.last().json["messages"]]
    assert said[0] == "Be brief."
    assert said[-1] == QUESTION
    assert not any("Paris" in text for text in said)


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "stream"])
def test_tools_in_parallel_and_their_results(chat: Chat, provider: FakeProvider, is_streamed: bool):
    model = chat(streaming=is_streamed).bind_tools([WEATHER])

    called = model.invoke(QUESTION)
    results = [ToolMessage("rain", tool_call_id=call["id"]) for call in called.tool_calls]
    answer = model.invoke([HumanMessage(QUESTION), called, *results])

    assert [call["args"] for call in called.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert answer.content == ANSWER
    assert [m["role"] for m in provider.last().json["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
    ]


def test_structured_output(chat: Chat):
    model = chat().with_structured_output(Place, method="json_schema")

    assert model.invoke(QUESTION) == Place(city="Paris")


def test_a_picture(chat: Chat, provider: FakeProvider):
    picture = {"type": "image_url", "image_url": {"url": PICTURE}}

    chat().invoke([HumanMessage([{"type": "text", "text": "What is it?"}, picture])])

    assert provider.last().json["messages"][0]["content"][1] == picture


def test_several_answers_with_their_logprobs(chat: Chat):
    result = chat(n=2, logprobs=True).generate([[HumanMessage(QUESTION)]])

    assert [each.text for each in result.generations[0]] == [ANSWER, ANSWER]
    logprobs = result.generations[0][0].message.response_metadata["logprobs"]
    assert logprobs["content"][0]["logprob"] == -0.125


def test_an_error_has_its_class_and_code(chat: Chat):
    with pytest.raises(openai.RateLimitError) as raised:
        chat("limited").invoke(QUESTION)

    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.response.headers["retry-after"] == "7"


def test_leaving_a_stream_closes_the_provider(chat: Chat, provider: FakeProvider):
    stream: Iterator = chat("slow").stream(QUESTION)
    next(stream)

    stream.close()  # type: ignore[attr-defined]

    assert provider.last().is_closed.wait(2)
