"""OpenAI's Responses by the openai package and langchain-openai: whole, streamed, with tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.clients.conftest import PICTURE, WEATHER
from tests.fakes import ANSWER, FakeProvider
from tests.proxy.conftest import HISTORY
from tests.responses import FAULT, ID

Sdk = Callable[..., openai.OpenAI]
Through = Callable[..., str]
ASKED: dict[str, Any] = {"model": "gpt-test", "input": HISTORY}
TOOL: Any = {"type": "function", "strict": True, **WEATHER["function"]}


class Place(BaseModel):
    city: str


class TestTheOpenAIPackage:
    @pytest.fixture
    def client(self, sdk: Sdk, through: Through) -> Sdk:
        return lambda behaviour="responses", **options: sdk(through(behaviour), **options)

    def test_gets_a_whole_answer_to_a_history_that_is_filtered(
        self, client: Sdk, provider: FakeProvider
    ):
        answer = client().responses.create(**ASKED)

        assert answer.output_text == ANSWER
        assert answer.usage is not None
        assert answer.usage.input_tokens_details.cached_tokens == 16
        assert provider.last().json["input"] == [*HISTORY[:2], *HISTORY[4:]]

    def test_gets_a_stream(self, client: Sdk):
        events = list(client().responses.create(**ASKED, stream=True))

        texts = (each.delta for each in events if each.type == "response.output_text.delta")
        assert "".join(texts) == ANSWER
        assert events[-1].type == "response.completed"
        assert events[-1].response.usage.total_tokens == 30

    async def test_gets_a_stream_asynchronously(
        self, async_sdk: Callable[..., openai.AsyncOpenAI], through: Through
    ):
        client = async_sdk(through("responses"))

        async with client.responses.stream(**ASKED) as stream:
            answer = await stream.get_final_response()

        assert answer.output_text == ANSWER

    def test_calls_tools_in_a_loop_and_sends_all_of_it_back(
        self, client: Sdk, provider: FakeProvider
    ):
        loop: list[Any] = [*HISTORY]

        first = client().responses.create(
            model="gpt-test", input=loop, tools=[TOOL], include=["reasoning.encrypted_content"]
        )
        loop += first.output
        loop += [
            {"type": "function_call_output", "call_id": each.call_id, "output": "rain"}
            for each in first.output
            if each.type == "function_call"
        ]
        second = client().responses.create(model="gpt-test", input=loop, tools=[TOOL])

        assert second.output_text == ANSWER
        kinds = [item.get("type") for item in provider.last().json["input"][len(HISTORY) :]]
        assert kinds == ["reasoning", *["function_call"] * 2, *["function_call_output"] * 2]
        assert provider.last().json["input"][len(HISTORY)]["encrypted_content"] == "gAAA=="

    def test_reads_answers_into_a_model(self, client: Sdk, provider: FakeProvider):
        answer = client().responses.parse(**ASKED, text_format=Place)
        with client().responses.stream(**ASKED, text_format=Place) as stream:
            streamed = stream.get_final_response()

        assert answer.output_parsed == streamed.output_parsed == Place(city="Paris")
        assert provider.last().json["text"]["format"]["strict"] is True

    def test_sends_a_picture(self, client: Sdk, provider: FakeProvider):
        parts = [
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": PICTURE, "detail": "low"},
        ]
        question: Any = {"role": "user", "content": parts}

        client().responses.create(model="gpt-test", input=[*HISTORY, question])

        assert provider.last().json["input"][-1] == question

    def test_finds_goes_on_and_deletes_what_is_kept(self, client: Sdk, provider: FakeProvider):
        kept = client().responses

        assert kept.retrieve(ID).output_text == ANSWER
        with kept.retrieve(ID, stream=True, starting_after=4) as stream:
            assert next(iter(stream)).sequence_number == 5
        assert kept.cancel(ID).id == ID
        assert kept.input_items.list(ID).data[0].id == "msg_1"
        assert kept.input_tokens.count(**ASKED).input_tokens == 7
        kept.delete(ID)
        assert provider.last().method == "DELETE"

    def test_sees_a_failure_in_the_response(self, client: Sdk):
        answer = client("responses-ended/failed").responses.create(**ASKED)

        assert answer.status == "failed"
        assert answer.error is not None
        assert answer.error.message == FAULT["message"]

    def test_sees_a_stream_that_breaks(self, client: Sdk):
        *_, last = client("responses-cut/5").responses.create(**ASKED, stream=True)

        assert last.type == "response.failed"
        assert last.sequence_number == 5
        assert last.response.id == ID
        assert "broke off" in last.response.error.message

    def test_sees_a_stream_that_breaks_in_its_helper(self, client: Sdk):
        with client("responses-cut/5").responses.stream(**ASKED) as stream:
            *_, last = stream

        assert last.type == "response.failed"

    def test_raises_where_a_stream_breaks_before_its_response(self, client: Sdk):
        with pytest.raises(openai.APIConnectionError):
            list(client("responses-cut/0").responses.create(**ASKED, stream=True))

    def test_by_leaving_closes_the_provider(self, client: Sdk, provider: FakeProvider):
        stream = client("responses-slow").responses.create(**ASKED, stream=True)
        next(stream)

        stream.close()

        assert provider.last().is_closed.wait(2)

    @pytest.mark.parametrize(
        ("asked", "param"), [({"input": []}, "input"), ({"model": ""}, "model")], ids=str
    )
    def test_understands_our_own_errors(self, client: Sdk, asked: dict[str, Any], param: str):
        with pytest.raises(openai.BadRequestError) as raised:
            client().responses.create(**ASKED | asked)

        assert raised.value.param == param


class TestLangChain:
    @pytest.fixture
    def chat(self, through: Through, token: str) -> Callable[..., ChatOpenAI]:
        def chat(**options: Any) -> ChatOpenAI:
            return ChatOpenAI(
                model="gpt-test",
                base_url=through("responses"),
                api_key=SecretStr(token),
                use_responses_api=True,
                max_retries=0,
                **options,
            )

        return chat

    @pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "stream"])
    def test_asks_with_a_history_that_is_filtered(
        self, chat: Callable[..., ChatOpenAI], provider: FakeProvider, is_streamed: bool
    ):
        kinds = {"user": HumanMessage, "assistant": AIMessage}
        history = [kinds[each["role"]](each["content"]) for each in HISTORY]

        answer = chat(streaming=is_streamed).invoke([SystemMessage("Be brief."), *history])

        assert answer.text == ANSWER
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["input_token_details"]["cache_read"] == 16
        assert "Paris" not in json.dumps(provider.last().json["input"])
        assert len(provider.last().json["input"]) == 6

    def test_calls_tools(self, chat: Callable[..., ChatOpenAI]):
        called = chat().bind_tools([WEATHER]).invoke("Weather?")

        assert [each["args"] for each in called.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
