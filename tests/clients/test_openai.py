"""The openai package: what goes beyond words, and what it does when it leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import openai
import pytest
from pydantic import BaseModel

from tests.clients.conftest import PICTURE, WEATHER
from tests.fakes import ANSWER, FakeProvider
from tests.proxy.conftest import HISTORY, completion

Through = Callable[..., str]
Sdk = Callable[..., openai.OpenAI]
QUESTION = HISTORY[-1:]


class Place(BaseModel):
    city: str


class TestTools:
    def test_are_called_in_parallel(self, sdk: Sdk, through: Through, provider: FakeProvider):
        answer = sdk(through()).chat.completions.create(
            **completion(QUESTION), tools=[WEATHER], parallel_tool_calls=True, tool_choice="auto"
        )

        calls = answer.choices[0].message.tool_calls or []
        assert [(call.id, json.loads(call.function.arguments)) for call in calls] == [
            ("call_0", {"city": "Paris"}),
            ("call_1", {"city": "Rome"}),
        ]
        assert answer.choices[0].finish_reason == "tool_calls"
        assert provider.last().json["tools"] == [WEATHER]
        assert provider.last().json["parallel_tool_calls"] is True

    def test_are_put_together_from_a_stream_whose_calls_come_in_turns(
        self, sdk: Sdk, through: Through
    ):
        chat = sdk(through()).chat.completions

        with chat.stream(**completion(QUESTION), tools=[WEATHER | {"strict": True}]) as stream:
            answer = stream.get_final_completion()

        calls = answer.choices[0].message.tool_calls or []
        assert [(call.id, call.function.arguments) for call in calls] == [
            ("call_0", '{"city": "Paris"}'),
            ("call_1", '{"city": "Rome"}'),
        ]

    def test_and_their_results_go_up_together_whatever_else_is_dropped(
        self, sdk: Sdk, through: Through, provider: FakeProvider
    ):
        chat = sdk(through()).chat.completions
        called = chat.create(**completion(QUESTION), tools=[WEATHER]).choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": "rain"}
            for call in called.tool_calls or []
        ]

        answer = chat.create(**completion([*HISTORY, called, *results]), tools=[WEATHER])

        assert answer.choices[0].message.content == ANSWER
        roles = [message["role"] for message in provider.last().json["messages"]]
        assert roles[-4:] == ["user", "assistant", "tool", "tool"]
        assert len(roles) < len(HISTORY) + 3


class TestAnswers:
    def test_are_read_into_a_model(self, sdk: Sdk, through: Through, provider: FakeProvider):
        answer = sdk(through()).chat.completions.parse(**completion(), response_format=Place)

        assert answer.choices[0].message.parsed == Place(city="Paris")
        asked = provider.last().json["response_format"]
        assert asked["json_schema"]["strict"] is True
        assert asked["json_schema"]["schema"]["required"] == ["city"]

    def test_are_read_into_a_model_from_a_stream(self, sdk: Sdk, through: Through):
        chat = sdk(through()).chat.completions

        with chat.stream(**completion(), response_format=Place) as stream:
            answer = stream.get_final_completion()

        assert answer.choices[0].message.parsed == Place(city="Paris")

    @pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "stream"])
    def test_may_be_several(
        self, sdk: Sdk, through: Through, provider: FakeProvider, is_streamed: bool
    ):
        chat = sdk(through()).chat.completions

        if is_streamed:
            with chat.stream(**completion(QUESTION), n=2) as stream:
                answer = stream.get_final_completion()
        else:
            answer = chat.create(**completion(QUESTION), n=2)

        assert [(c.index, c.message.content) for c in answer.choices] == [(0, ANSWER), (1, ANSWER)]
        assert provider.last().json["n"] == 2

    @pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "stream"])
    def test_come_with_their_logprobs(self, sdk: Sdk, through: Through, is_streamed: bool):
        chat = sdk(through()).chat.completions
        asked = completion(QUESTION) | {"logprobs": True, "top_logprobs": 1}

        if is_streamed:
            with chat.stream(**asked) as stream:
                answer = stream.get_final_completion()
        else:
            answer = chat.create(**asked)

        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        tokens = logprobs.content or []
        assert bytes(b for token in tokens for b in token.bytes or []).decode() == ANSWER
        assert (tokens[0].logprob, tokens[0].top_logprobs[0].token) == (-0.125, "Rye")

    def test_may_be_about_a_picture(self, sdk: Sdk, through: Through, provider: FakeProvider):
        picture = {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}}
        question = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}

        sdk(through()).chat.completions.create(**completion([*HISTORY, question]))

        assert provider.last().json["messages"][-1] == question


class TestLeaving:
    def test_a_stream_closes_the_provider(self, sdk: Sdk, through: Through, provider: FakeProvider):
        stream = sdk(through("slow")).chat.completions.create(**completion(QUESTION), stream=True)
        next(stream)

        stream.close()

        assert provider.last().is_closed.wait(2)

    @pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "stream"])
    def test_after_its_own_timeout_closes_the_provider(
        self, sdk: Sdk, through: Through, provider: FakeProvider, is_streamed: bool
    ):
        with pytest.raises(openai.APITimeoutError):
            sdk(through("stall"), timeout=0.3).chat.completions.create(
                **completion(QUESTION), stream=is_streamed
            )

        assert provider.last().is_closed.wait(2)
        assert len(provider.received) == 1

    async def test_by_a_cancelled_task_closes_the_provider(
        self,
        async_sdk: Callable[..., openai.AsyncOpenAI],
        through: Through,
        provider: FakeProvider,
    ):
        asking = asyncio.create_task(
            async_sdk(through("stall")).chat.completions.create(**completion(QUESTION))
        )
        await asyncio.to_thread(provider.wait_for_a_request)

        asking.cancel()

        assert await asyncio.to_thread(provider.last().is_closed.wait, 2)


class TestErrors:
    def test_of_the_proxy_have_a_class_and_a_code(self, sdk: Sdk, server: str):
        client = sdk(f"{server}/api/v1/proxy/http://10.0.0.1/v1/sk-1")

        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(**completion(QUESTION))

        assert (raised.value.code, raised.value.type) == (
            "invalid_target",
            "invalid_request_error",
        )

    def test_of_an_endpoint_that_the_built_in_model_lacks_name_those_that_it_has(
        self, sdk: Sdk, server: str, provider: FakeProvider
    ):
        with pytest.raises(openai.NotFoundError) as raised:
            sdk(f"{server}/api/v1/proxy/default").embeddings.create(model="m", input="Hi")

        assert "/chat/completions" in raised.value.message
        assert not provider.received

    def test_that_pass_are_tried_again_as_the_provider_says(
        self, sdk: Sdk, through: Through, provider: FakeProvider, monkeypatch
    ):
        waits: list[float] = []
        monkeypatch.setattr("openai._base_client.time.sleep", waits.append)

        with pytest.raises(openai.InternalServerError) as raised:
            sdk(through("overloaded"), max_retries=2).chat.completions.create(
                **completion(QUESTION)
            )

        assert "Overloaded" in raised.value.message
        assert waits == [0.8, 0.8]
        assert len(provider.received) == 3
