"""Answers in chats by a provider that speaks OpenAI's Responses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import requests
from aiohttp import web

from alchemyst.accounts.auth.token_cache import cached_tokens
from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat
from proxy.accounting import conversation_capture
from tests import responses
from tests.chats.answers import KEY, QUESTION, Api, persona, questions
from tests.chats.conftest import texts
from tests.conftest import Server
from tests.fakes import ANSWER, FakeProvider, Received, stream


def answering(provider: FakeProvider, **fields: Any) -> None:
    """Have the provider answer whole, whatever is asked of it."""

    async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
        return web.json_response(responses.response(responses.said(), **fields))

    provider.behaviours["saying"] = behaviour


def test_come_from_its_stream(api: Api, alice: User, provider: FakeProvider):
    persona(alice, provider, "responses", dialect="responses", temperature=0.5, max_tokens=50)

    answer = api.generate()

    assert answer.json()["result"]["message"] == ANSWER
    sent: Any = questions(provider)[-1]
    assert sent.path == "/responses/v1/responses"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.json == {
        "model": "gpt-test",
        "input": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "store": False,
        "instructions": "You bake.",
        "temperature": 0.5,
        "max_output_tokens": 50,
    }


def test_tell_what_the_model_thought(api: Api, alice: User, provider: FakeProvider):
    persona(alice, provider, "responses", dialect="responses")

    with api.stream() as answer:
        content = answer.content

    assert b"Bread needs time." in content


@pytest.mark.parametrize(
    "fields", [{}, {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}]
)
def test_may_come_whole(api: Api, alice: User, provider: FakeProvider, fields: dict[str, Any]):
    answering(provider, **fields)
    persona(alice, provider, "saying", dialect="responses")

    assert api.generate().json()["result"]["message"] == ANSWER


def test_are_whole_where_the_last_event_says_all_of_it_again(
    api: Api, alice: User, provider: FakeProvider
):
    async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
        large = responses.events(responses.said(), instructions="x" * 400_000)
        return await stream(request, large)

    provider.behaviours["saying"] = behaviour
    persona(alice, provider, "saying", dialect="responses")

    assert api.generate().json()["result"]["message"] == ANSWER


@pytest.mark.parametrize("behaviour", ["responses-ended/failed", "saying"])
def test_that_fail_say_so_in_its_words(
    api: Api, alice: User, provider: FakeProvider, behaviour: str
):
    answering(provider, status="failed", error=responses.FAULT)
    persona(alice, provider, behaviour, dialect="responses")

    message = json.dumps(api.generate().json())

    assert "The model ran out of steam." in message
    assert "failed (server_error)" in message


class TestKeptChats:
    @pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "stream"])
    def test_have_what_was_said_and_nothing_of_what_was_done(
        self,
        server: str,
        the_server: Server,
        provider: FakeProvider,
        alice: User,
        shipped: None,
        is_streamed: bool,
    ):
        cached_tokens.forget()
        _, secret = ApiKey.make(alice, name="x", scopes=["proxy"], keeps_chats=True)
        items = [
            {"role": "user", "content": "Which bread?"},
            responses.reasoning(),
            responses.call(0, "look", "{}"),
            {"type": "function_call_output", "call_id": "call_0", "output": "rye"},
            responses.reasoning(),
            responses.said("Rye."),
            {"role": "user", "content": "Why?"},
        ]

        requests.post(
            f"{server}/api/v1/proxy/{provider.url}/responses/v1/sk-1/responses",
            json={"model": "gpt-test", "input": items, "stream": is_streamed},
            headers={"Authorization": f"Bearer {secret}"},
            timeout=30,
        )
        queue = conversation_capture.queue
        asyncio.run_coroutine_threadsafe(queue.close(), the_server.loop).result(10)

        assert texts(Chat.objects.of(alice).get()) == ["Which bread?", "Rye.", "Why?", ANSWER]
