"""An answer, whole and streamed: what comes back, and what is kept."""

from __future__ import annotations

from chats.models import Chat, Generation
from personas.models import Persona
from tests.chats.answers import QUESTION, Api, asking, questions, text, types
from tests.chats.conftest import texts
from tests.fakes import ANSWER, FakeProvider


class TestAnAnswerThatIsNotKept:
    def test_comes_with_its_persona_and_time(self, api: Api, maya: Persona):
        answer = api.post("", asking())

        assert answer.status_code == 200
        assert answer.json()["result"] == {"message": ANSWER, "persona": "maya"}
        assert answer.json()["metadata"]["timeTaken"] >= 0
        assert answer.json()["metadata"]["usage"]["promptTokens"] == 21

    def test_leaves_nothing_behind(self, api: Api, maya: Persona):
        api.post("", asking())

        assert not Chat.objects.exists()
        assert not Generation.objects.exists()

    def test_tells_the_model_who_it_is(self, api: Api, maya: Persona, provider: FakeProvider):
        api.post("", asking())

        sent = questions(provider)[-1].json
        assert sent["messages"] == [
            {"role": "system", "content": "You bake."},
            {"role": "user", "content": QUESTION},
        ]
        assert sent["model"] == "gpt-test"


class TestGenerate:
    def test_answers_and_keeps_question_and_answer(self, api: Api, maya: Persona):
        answer = api.generate(params={"username": "kim", "source": "crm"})

        assert answer.status_code == 201, answer.text
        body = answer.json()
        assert body["result"] == {"message": ANSWER, "persona": "maya"}
        assert body["researchMode"] is False
        assert body["stream"] is False
        chat = Chat.objects.get(pk=body["chatId"])
        assert texts(chat) == [QUESTION, ANSWER]
        assert (chat.username, chat.source) == ("kim", "crm")
        generation = Generation.objects.get()
        assert generation.state == Generation.State.COMPLETE
        assert str(generation.pk) == body["replaySessionID"]
        assert generation.usage["completionTokens"] == 4

    def test_appends_to_the_chat_named(self, api: Api, maya: Persona, chat: Chat):
        answer = api.generate(asking("And milk?"), params={"chatId": str(chat.pk)})

        assert answer.json()["chatId"] == str(chat.pk)
        assert texts(chat)[-2:] == ["And milk?", ANSWER]

    def test_does_not_add_again_what_the_chat_has(self, api: Api, maya: Persona, chat: Chat):
        before = texts(chat)

        api.generate(asking(*before, "And milk?"), params={"chatId": str(chat.pk)})

        assert texts(chat) == [*before, "And milk?", ANSWER]

    def test_streams_where_the_body_says_so(self, api: Api, maya: Persona):
        answer = api.generate(asking(stream=True))

        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text.endswith("data: [DONE]\n\n")


class TestStream:
    def test_tells_steps_pieces_the_whole_and_its_account(self, api: Api, maya: Persona):
        found = api.streamed()

        assert types(found) == [
            "thinking_update",
            "response_delta",
            "final_response",
            "metadata",
            "done",
        ]
        assert text(found) == ANSWER
        final, metadata = found[-3].data, found[-2].data["content"]
        assert final["content"] == ANSWER
        assert final["json"]["finishReason"] == "stop"
        assert metadata["state"] == "complete"
        assert metadata["title"] == QUESTION
        assert metadata["usage"] == {
            "promptTokens": 21,
            "completionTokens": 4,
            "cachedTokens": 16,
        }

    def test_numbers_its_events_without_a_gap(self, api: Api, maya: Persona):
        found = api.streamed()

        assert [event.id for event in found] == list(range(1, len(found) + 1))

    def test_names_chat_and_session_before_the_first_event(self, api: Api, maya: Persona):
        with api.stream() as response:
            chat = response.headers["x-alchemyst-chat-id"]
            session = response.headers["x-alchemyst-replay-session-id"]

        assert Generation.objects.get(pk=session).chat == Chat.objects.get(pk=chat)

    def test_can_be_replayed_from_its_beginning(self, api: Api, maya: Persona):
        found = api.streamed()

        session = found[-2].data["content"]["replaySessionID"]

        assert api.replay(session) == found

    def test_can_be_replayed_from_any_event(self, api: Api, maya: Persona):
        found = api.streamed()
        session = found[-2].data["content"]["replaySessionID"]

        for event in found:
            assert api.replay(session, after=event.id) == found[event.id :]
