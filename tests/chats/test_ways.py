"""Other answers, edited questions, answers gone on with: nothing that was said is lost."""

from __future__ import annotations

import asyncio

import pytest
from django.conf import LazySettings

from alchemyst.accounts.models import User
from chats.answers import runner as answer_runner
from chats.models import Chat, Generation, Message
from personas.models import Persona
from proxy.wire.token_count import PER_REQUEST
from tests.chats.answers import Api, asking, persona, questions, text
from tests.chats.conftest import MISSING, TEA, texts
from tests.conftest import Server
from tests.fakes import ANSWER, FakeProvider


def message(chat: Chat, position: int) -> Message:
    return chat.messages_on().get(position=position)


class TestRegenerate:
    def test_puts_another_answer_beside_the_last_one(self, api: Api, maya: Persona, chat: Chat):
        old = message(chat, 3)

        answer = api.post(f"/{chat.pk}/regenerate")

        assert answer.status_code == 201, answer.text
        assert texts(chat) == [*TEA[:3], ANSWER]
        assert [m.content for m in old.alternatives()] == [TEA[3], ANSWER]

    def test_asks_for_what_stood_before_and_not_for_what_came_after(
        self, api: Api, maya: Persona, chat: Chat, provider: FakeProvider
    ):
        first = message(chat, 1)

        api.post(f"/{chat.pk}/regenerate", {"messageId": str(first.pk)})

        sent = questions(provider)[-1].json["messages"]
        assert [each["content"] for each in sent[1:]] == [TEA[0]]
        assert texts(chat) == [TEA[0], ANSWER]
        assert Message.objects.filter(content=TEA[3]).exists()

    def test_with_new_words_edits_the_question(self, api: Api, maya: Persona, chat: Chat):
        asked = message(chat, 2)

        body = {"messageId": str(asked.pk), "content": "How long?"}
        answer = api.post(f"/{chat.pk}/regenerate", body)

        assert answer.status_code == 201
        assert texts(chat) == [*TEA[:2], "How long?", ANSWER]
        assert [m.content for m in asked.alternatives()] == [TEA[2], "How long?"]

    def test_may_stream_and_may_name_another_persona(
        self, api: Api, maya: Persona, alice: User, chat: Chat, provider: FakeProvider
    ):
        persona(alice, provider, "whole", slug="otto")

        answer = api.post(f"/{chat.pk}/regenerate", {"persona": "otto", "stream": True})

        assert answer.headers["content-type"].startswith("text/event-stream")
        assert '"persona":"otto"' in answer.text

    @pytest.mark.parametrize("position", [0, 2])
    def test_of_a_question_without_new_words_is_refused(
        self, api: Api, maya: Persona, chat: Chat, position: int
    ):
        body = {"messageId": str(message(chat, position).pk)}

        assert api.post(f"/{chat.pk}/regenerate", body).status_code == 400
        assert texts(chat) == list(TEA)

    def test_of_an_answer_with_words_is_refused(self, api: Api, maya: Persona, chat: Chat):
        body = {"messageId": str(message(chat, 1).pk), "content": "Mine."}

        assert api.post(f"/{chat.pk}/regenerate", body).status_code == 400

    def test_of_a_message_of_another_chat_is_not_found(
        self, api: Api, maya: Persona, chat: Chat, alice: User
    ):
        other = Chat.objects.create(owner=alice)
        elsewhere = other.append("assistant", "Hello.")

        for id in (elsewhere.pk, MISSING):
            answer = api.post(f"/{chat.pk}/regenerate", {"messageId": str(id)})
            assert answer.status_code == 404

    def test_while_an_answer_is_written_has_to_wait(
        self, api: Api, maya: Persona, chat: Chat, answering
    ):
        answering()

        assert api.post(f"/{chat.pk}/regenerate").status_code == 409


class TestContinue:
    def test_goes_on_where_an_answer_broke_off(self, api: Api, alice: User, provider: FakeProvider):
        persona(alice, provider, "cut")
        broken = api.generate().json()["details"]
        persona(alice, provider)
        Chat.objects.update(persona_version=Persona.objects.get().current)

        answer = api.post(f"/{broken['chatId']}/continue")

        assert answer.json()["result"]["message"] == f"One{ANSWER}"
        said = questions(provider)[-1].json["messages"]
        assert [each["role"] for each in said] == ["system", "user", "assistant", "user"]
        assert said[2]["content"] == "One"
        chat = Chat.objects.get()
        assert texts(chat)[-1] == f"One{ANSWER}"
        assert Message.objects.filter(content="One").exists()

    def test_replays_with_what_there_was(self, api: Api, alice: User, provider: FakeProvider):
        persona(alice, provider, "cut")
        broken = api.generate().json()["details"]
        session = api.post(f"/{broken['chatId']}/continue").json()["details"]["replaySessionID"]

        found = api.replay(session)

        said = [e.data["content"] for e in found if e.type == "response_delta"]
        assert "".join(said) == "OneOne"

    def test_of_a_complete_answer_is_refused(self, api: Api, maya: Persona):
        chat_id = api.generate().json()["chatId"]

        assert api.post(f"/{chat_id}/continue").status_code == 409


class TestStop:
    def test_keeps_what_there_is_and_closes_the_provider(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        persona(alice, provider, "slow")

        with api.stream() as response:
            lines = response.iter_lines(chunk_size=1, decode_unicode=True)
            assert any("response_delta" in line for line in lines)
            session = response.headers["x-alchemyst-replay-session-id"]
            told = api.stop(session)
            rest = [line for line in lines if line.startswith("data:")]

        assert told.status_code == 200
        assert told.json()["state"] == "stopped"
        assert rest[-1] == "data: [DONE]"
        assert '"final_response"' in rest[-3]
        generation = Generation.objects.get()
        assert generation.state == Generation.State.STOPPED
        assert generation.message.content.startswith("0 ")
        assert text(api.replay(session)) == generation.message.content
        assert questions(provider)[-1].is_closed.wait(2)

    def test_while_the_provider_thinks(self, api: Api, alice: User, provider: FakeProvider):
        persona(alice, provider, "stall")

        with api.stream() as response:
            session = response.headers["x-alchemyst-replay-session-id"]
            provider.wait_for_a_request()
            assert api.stop(session).json()["state"] == "stopped"

        assert Generation.objects.get().message.content == ""

    def test_of_an_ended_answer_changes_nothing(self, api: Api, maya: Persona):
        session = api.generate().json()["replaySessionID"]

        assert api.stop(session).json()["state"] == "complete"


class TestAClientThatLeaves:
    def test_loses_nothing(self, api: Api, alice: User, provider: FakeProvider):
        persona(alice, provider, "hundred")
        with api.stream() as response:
            session = response.headers["x-alchemyst-replay-session-id"]
            next(response.iter_content(None))

        found = api.replay(session)

        whole = "".join(f"{number} " for number in range(100))
        assert found[-3].data["content"] == whole
        assert Generation.objects.get().state == Generation.State.COMPLETE

    def test_of_an_answer_that_is_not_kept_ends_it(
        self, api: Api, alice: User, provider: FakeProvider, server: str
    ):
        persona(alice, provider, "stall")
        with pytest.raises(OSError):
            api.http.post(f"{server}/api/v1/chat", json=asking(), timeout=1)

        assert questions(provider)[-1].is_closed.wait(2)


class TestSilence:
    def test_is_told_by_comments(
        self, api: Api, alice: User, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("chats.eventlog.log.follow.__kwdefaults__", {"heartbeat": 0.1})
        persona(alice, provider, "half-second")

        assert ": still here\n\n" in api.stream(stream=False).text


class TestMemory:
    def test_what_was_left_out_is_told_message_by_message(
        self, api: Api, maya: Persona, alice: User, provider: FakeProvider
    ):
        chat = Chat.objects.create(owner=alice, persona_version=maya.current)
        said = [
            "How do I bake sourdough bread at home?",
            "Mix flour, water, salt and sourdough starter, proof it overnight, then bake.",
            "What is the capital of France?",
            "The capital of France is Paris, on the river Seine.",
            "Which film by Tarkovsky should I watch first?",
            "Start with Stalker, a slow and beautiful journey.",
        ]
        for place, words in enumerate(said):
            chat.append(("user", "assistant")[place % 2], words)

        question = "How long does sourdough bread have to bake?"
        api.generate(asking(question), params={"chatId": str(chat.pk)})

        context = Generation.objects.get().context
        assert [each["fate"] for each in context["messages"]] == [
            "sent",
            "sent",
            "dropped",
            "dropped",
            "protected",
            "protected",
            "protected",
        ]
        assert context["messages"][2]["id"] == str(message(chat, 2).pk)
        assert context["messagesDropped"] == 2
        assert "Paris" not in questions(provider)[-1].body.decode()

    def test_of_a_short_chat_nothing_is_dropped(
        self,
        api: Api,
        maya: Persona,
        chat: Chat,
        provider: FakeProvider,
        settings: LazySettings,
    ):
        settings.PROXY_SHORT_TOKENS = 1500
        for place, words in enumerate(["What is the capital of France?", "Paris.", "Hm.", "Yes?"]):
            chat.append(("user", "assistant")[place % 2], words)

        question = "How long does sourdough bread have to bake?"
        api.generate(asking(question), params={"chatId": str(chat.pk)})

        assert Generation.objects.get().context["messagesDropped"] == 0
        assert "Paris" in questions(provider)[-1].body.decode()

    def test_tokens_are_told_message_by_message_where_two_make_one_turn(
        self, api: Api, maya: Persona, chat: Chat
    ):
        chat.append("user", "A question of a dozen words that nobody ever answered, it seems.")

        api.generate(asking("Why?"), params={"chatId": str(chat.pk)})

        context = Generation.objects.get().context
        *_, unanswered, asked = [each["tokens"] for each in context["messages"]]
        assert asked < unanswered
        told = context["instructions"] + sum(each["tokens"] for each in context["messages"])
        assert told + PER_REQUEST == context["tokensBefore"]

    def test_pins_and_exclusions_of_messages_are_obeyed(
        self, api: Api, maya: Persona, chat: Chat, provider: FakeProvider, settings: LazySettings
    ):
        chat.append("user", "What is the capital of France?")
        chat.append("assistant", "Paris.")
        Message.objects.filter(position__in=(0, 1)).update(fate="excluded")

        api.generate(asking("How hot is tea?"), params={"chatId": str(chat.pk)})

        context = Generation.objects.get().context
        assert [each["fate"] for each in context["messages"]][:2] == ["excluded", "excluded"]
        assert TEA[1] not in questions(provider)[-1].body.decode()


class TestAProcessThatShallEnd:
    def test_ends_what_takes_too_long_with_what_there_is(
        self, api: Api, alice: User, provider: FakeProvider, the_server: Server
    ):
        persona(alice, provider, "slow")

        async def drain() -> None:
            runner = answer_runner.runner()
            await runner.drain(0.2)
            runner.is_draining = False

        with api.stream() as response:
            lines = response.iter_lines(chunk_size=1, decode_unicode=True)
            assert any("response_delta" in line for line in lines)
            asyncio.run_coroutine_threadsafe(drain(), the_server.loop).result(10)
            rest = [line for line in lines if line.startswith("data:")]

        assert '"code":"restarting"' in rest[-2]
        assert rest[-1] == "data: [DONE]"
        assert Generation.objects.get().state == Generation.State.INCOMPLETE

    def test_takes_no_new_question(
        self, api: Api, maya: Persona, monkeypatch: pytest.MonkeyPatch, the_server: Server
    ):
        monkeypatch.setattr(answer_runner.Runner, "is_draining", True, raising=False)
        monkeypatch.setattr(answer_runner, "runner", lambda: answer_runner.Runner)

        answer = api.generate()

        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert not Chat.objects.exists()
