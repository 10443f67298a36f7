"""Conversations through the proxy, kept as chats for the API keys that want it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import requests
from rest_framework.test import APIClient

from alchemyst.accounts.auth.token_cache import cached_tokens
from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat
from proxy.accounting import conversation_capture
from tests import anthropic
from tests.chats.conftest import texts
from tests.conftest import Server
from tests.fakes import ANSWER, FakeProvider

pytestmark = pytest.mark.django_db(transaction=True)

Ask = Callable[..., str]


def said(*texts: str) -> list[dict[str, str]]:
    """Messages of user and assistant in turn."""
    return [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(texts)
    ]


@pytest.fixture
def ask(server: str, the_server: Server, provider: FakeProvider, alice: User, shipped: None) -> Ask:
    """Send messages through the proxy by a key that keeps chats, and return the answer."""
    cached_tokens.forget()
    keys = {
        keeps: ApiKey.make(alice, name="x", scopes=["proxy"], keeps_chats=keeps)[1]
        for keeps in (True, False)
    }

    def send(
        messages: list[dict[str, Any]], *, keeps: bool = True, behaviour: str = "", **more: Any
    ) -> str:
        target = f"{provider.url}/{behaviour}/v1" if behaviour else f"{provider.url}/v1"
        answer = requests.post(
            f"{server}/api/v1/proxy/{target}/sk-1/chat/completions",
            json={"model": "gpt-test", "messages": messages, **more},
            headers={"Authorization": f"Bearer {keys[keeps]}"},
            timeout=30,
        )
        asyncio.run_coroutine_threadsafe(
            conversation_capture.queue.close(), the_server.loop
        ).result(10)
        if more.get("stream") or answer.status_code != 200:
            return ""
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    return send


class TestAConversation:
    def test_becomes_a_chat_with_its_answer(self, ask: Ask, alice: User):
        answer = ask(said("Which tea?"))

        chat = Chat.objects.of(alice).get()
        assert texts(chat) == ["Which tea?", answer]
        assert (chat.title, chat.source) == ("Which tea?", "proxy")
        assert chat.messages.get(role="assistant").model == "gpt-test"

    def test_that_grows_stays_one_chat(self, ask: Ask, alice: User):
        first = ask(said("Which tea?"))
        second = ask(said("Which tea?", first, "How hot?"))
        third = ask(said("Which tea?", first, "How hot?", f" {second}\n", "How long?"))

        chat = Chat.objects.of(alice).get()
        assert texts(chat) == ["Which tea?", first, "How hot?", second, "How long?", third]

    def test_that_was_edited_in_the_middle_is_a_branch(self, ask: Ask, alice: User):
        first = ask(said("Which tea?"))
        ask(said("Which tea?", first, "How hot?"))

        answer = ask(said("Which tea?", first, "How cold?"))

        chat = Chat.objects.of(alice).get()
        assert texts(chat) == ["Which tea?", first, "How cold?", answer]
        edited = chat.messages_on().get(position=2)
        assert [each.content for each in edited.alternatives()] == ["How hot?", "How cold?"]

    def test_that_goes_back_to_a_branch_goes_on_there(self, ask: Ask, alice: User):
        first = ask(said("Which tea?"))
        hot = ask(said("Which tea?", first, "How hot?"))
        ask(said("Which tea?", first, "How cold?"))

        answer = ask(said("Which tea?", first, "How hot?", hot, "Sure?"))

        chat = Chat.objects.of(alice).get()
        assert texts(chat) == ["Which tea?", first, "How hot?", hot, "Sure?", answer]
        assert chat.branches.count() == 2

    def test_sent_again_adds_nothing(self, ask: Ask, alice: User):
        for _ in range(3):
            ask(said("Which tea?"))

        assert Chat.objects.of(alice).get().messages.count() == 2

    def test_with_instructions_that_change_is_the_same(self, ask: Ask, alice: User):
        def dated(day: str, *texts: str) -> list[dict[str, str]]:
            return [{"role": "system", "content": f"Today is {day}."}, *said(*texts)]

        first = ask(dated("Monday", "Which tea?"))
        second = ask(dated("Tuesday", "Which tea?", first, "How hot?"))

        chat = Chat.objects.of(alice).get()
        assert texts(chat) == ["Today is Monday.", "Which tea?", first, "How hot?", second]

    def test_that_begins_otherwise_is_another_chat(self, ask: Ask, alice: User):
        ask(said("Which tea?"))
        ask(said("Which coffee?"))

        assert Chat.objects.of(alice).count() == 2

    def test_that_is_streamed_is_kept_as_well(self, ask: Ask, alice: User):
        ask(said("Which tea?"), stream=True)

        chat = Chat.objects.of(alice).get()
        question, answer = texts(chat)
        assert question == "Which tea?"
        assert answer

    def test_has_no_tools_in_it(self, ask: Ask, alice: User):
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        messages = [
            *said("Which tea?"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "Oolong, says the shop."},
        ]

        answer = ask(messages)

        assert texts(Chat.objects.of(alice).get()) == ["Which tea?", answer]

    def test_takes_what_no_database_takes(self, ask: Ask, alice: User):
        answer = ask(said("Which \0tea?"))

        assert texts(Chat.objects.of(alice).get()) == ["Which tea?", answer]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_anthropics_conversation_is_kept_without_thoughts_and_tools(
    server: str,
    the_server: Server,
    provider: FakeProvider,
    alice: User,
    shipped: None,
    is_stream: bool,
):
    cached_tokens.forget()
    _, key = ApiKey.make(alice, name="x", scopes=["proxy"], keeps_chats=True)
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Oolong."}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Which tea?"}]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]

    requests.post(
        f"{anthropic.base_of(server, provider)}/v1/messages",
        json={"model": "m", "max_tokens": 9, "messages": messages, "stream": is_stream},
        headers={"Authorization": f"Bearer {key}", "x-api-key": anthropic.KEY},
        timeout=30,
    )
    asyncio.run_coroutine_threadsafe(conversation_capture.queue.close(), the_server.loop).result(10)

    assert texts(Chat.objects.of(alice).get()) == ["Which tea?", ANSWER]


class TestNothingIsKept:
    def test_of_a_key_that_does_not_want_it(self, ask: Ask):
        ask(said("Which tea?"), keeps=False)

        assert not Chat.objects.exists()

    @pytest.mark.parametrize("behaviour", ["fail", "limited", "cut"])
    def test_of_a_call_that_failed(self, ask: Ask, behaviour: str):
        ask(said("Which tea?"), behaviour=behaviour, stream=True)

        assert not Chat.objects.exists()

    def test_that_its_owner_deleted(self, ask: Ask, alice: User):
        first = ask(said("Which tea?"))
        Chat.objects.of(alice).move_to_trash()

        ask(said("Which tea?", first, "How hot?"))

        assert not Chat.objects.of(alice).exists()
        assert Chat.objects.get().messages.count() == 2


def test_the_setting_is_a_field_of_the_key(as_alice: APIClient):
    made = as_alice.post(
        "/api/v1/auth/keys",
        {"name": "cli", "scopes": ["proxy"], "keeps_chats": True},
        format="json",
    ).json()
    assert made["keeps_chats"] is True

    changed = as_alice.patch(
        f"/api/v1/auth/keys/{made['id']}", {"keeps_chats": False}, format="json"
    )

    assert changed.json()["keeps_chats"] is False
