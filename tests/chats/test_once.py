"""The same question twice is one; different ones at once take turns or are told to wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from alchemyst.accounts.models import User
from chats.models import Chat, Generation, Message
from personas.models import Persona
from tests.chats.answers import Api, asking, persona, questions
from tests.chats.conftest import texts
from tests.fakes import ANSWER, FakeProvider

KEY = {"Idempotency-Key": "q-1"}


def asking_by_id(text: str, id: str) -> dict[str, Any]:
    return {"chat_history": [{"id": id, "role": "user", "content": text}]}


def at_once(count: int, ask: Any) -> list[requests.Response]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(ask, range(count)))


class TestAKey:
    def test_given_twice_is_one_question_and_one_answer(
        self, api: Api, maya: Persona, provider: FakeProvider
    ):
        first, second = (api.generate(headers=KEY).json() for _ in range(2))

        assert first == second
        assert Message.objects.count() == 2
        assert len(questions(provider)) == 1

    def test_of_the_longest_kind_is_told_from_one_that_ends_otherwise(
        self, api: Api, maya: Persona, provider: FakeProvider
    ):
        keys = [{"Idempotency-Key": "k" * 199 + end} for end in ("1", "1", "2")]

        first, again, other = (api.generate(headers=key) for key in keys)

        assert first.status_code == 201
        assert first.json() == again.json()
        assert other.json()["messageId"] != first.json()["messageId"]

    def test_given_to_twenty_at_once_is_one_message_and_one_call(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        persona(alice, provider, "half-second")

        answers = at_once(20, lambda _: api.generate(headers=KEY))

        assert {answer.status_code for answer in answers} == {201}
        assert {answer.json()["messageId"] for answer in answers} == {
            str(Generation.objects.get().message_id)
        }
        assert Chat.objects.count() == 1
        assert Message.objects.count() == 2
        assert len(questions(provider)) == 1

    def test_streams_the_same_events_to_whoever_comes_second(
        self, api: Api, maya: Persona, provider: FakeProvider
    ):
        first = api.streamed(headers=KEY)

        assert api.streamed(headers=KEY) == first
        assert api.streamed(headers=KEY | {"Last-Event-ID": "2"}) == first[2:]

    def test_with_another_question_is_refused(self, api: Api, maya: Persona):
        api.generate(headers=KEY)

        answer = api.generate(asking("Something else?"), headers=KEY)

        assert answer.status_code == 409
        assert Chat.objects.count() == 1

    def test_is_each_users_own(self, api: Api, bobs_api: Api, maya: Persona):
        first, second = api.generate(headers=KEY), bobs_api.generate(headers=KEY)

        assert first.json()["chatId"] != second.json()["chatId"]

    def test_of_an_answer_that_failed_asks_again_and_adds_no_question(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        persona(alice, provider, "fail/401")
        failed = api.generate(headers=KEY).json()["details"]
        Persona.objects.get().revise(provider=None)
        persona(alice, provider)
        Chat.objects.update(persona_version=Persona.objects.get().current)

        answer = api.generate(headers=KEY).json()

        assert answer["result"]["message"] == ANSWER
        assert answer["chatId"] == failed["chatId"]
        assert answer["questionId"] == failed["questionId"]
        assert Message.objects.filter(role="user").count() == 1

    @pytest.mark.parametrize("key", ["x" * 201, "a\tb"])
    def test_that_is_none_is_refused(self, api: Api, maya: Persona, key: str):
        assert api.generate(headers={"Idempotency-Key": key}).status_code == 400


class TestAClientsOwnMessageId:
    def test_given_twice_is_one_question(self, api: Api, maya: Persona, provider: FakeProvider):
        first, second = (api.generate(asking_by_id("Rye?", "m-1")).json() for _ in range(2))

        assert first["messageId"] == second["messageId"]
        assert len(questions(provider)) == 1

    def test_given_twice_in_a_chat_is_one_question(
        self, api: Api, maya: Persona, chat: Chat, provider: FakeProvider
    ):
        here = {"chatId": str(chat.pk)}
        answers = at_once(5, lambda _: api.generate(asking_by_id("Rye?", "m-1"), params=here))

        assert len({answer.json()["messageId"] for answer in answers}) == 1
        assert texts(chat)[-2:] == ["Rye?", ANSWER]
        assert len(questions(provider)) == 1

    def test_with_other_words_in_the_same_chat_is_refused(
        self, api: Api, maya: Persona, chat: Chat
    ):
        here = {"chatId": str(chat.pk)}
        api.generate(asking_by_id("Rye?", "m-1"), params=here)

        answer = api.generate(asking_by_id("Oats?", "m-1"), params=here)

        assert answer.status_code == 409
        assert "Oats?" not in texts(chat)

    def test_of_a_new_chat_may_be_any_word_again(self, api: Api, maya: Persona):
        first = api.generate(asking_by_id("Rye?", "1")).json()

        second = api.generate(asking_by_id("Oats?", "1")).json()

        assert first["chatId"] != second["chatId"]


class TestOneChat:
    def test_has_one_answer_under_way(self, api: Api, alice: User, provider: FakeProvider, chat):
        persona(alice, provider, "half-second")
        here = {"chatId": str(chat.pk)}

        answers = at_once(2, lambda n: api.generate(asking(f"Question {n}?"), params=here))

        assert sorted(answer.status_code for answer in answers) == [201, 409]
        (refused,) = [answer for answer in answers if answer.status_code == 409]
        assert refused.json()["error"] == "conflict_error"
        assert len(texts(chat)) == 6

    @pytest.mark.slow
    def test_bears_twenty_writers(self, api: Api, maya: Persona, chat: Chat):
        here = {"chatId": str(chat.pk)}

        def insist(number: int) -> requests.Response:
            while True:
                answer = api.generate(asking(f"Question {number}?"), params=here)
                if answer.status_code != 409:
                    return answer

        answers = at_once(20, insist)

        assert {answer.status_code for answer in answers} == {201}
        said = texts(chat)[4:]
        assert sorted(said[::2]) == sorted(f"Question {number}?" for number in range(20))
        assert set(said[1::2]) == {ANSWER}

    def test_answers_of_a_user_are_so_many_at_once(
        self, api: Api, alice: User, provider: FakeProvider, settings: Any
    ):
        settings.CHAT_MAX_RUNNING = 2
        persona(alice, provider, "half-second")

        answers = at_once(5, lambda n: api.generate(asking(f"Question {n}?")))

        assert {answer.status_code for answer in answers} == {201, 429}
        assert all(a.headers["retry-after"] for a in answers if a.status_code == 429)
