"""Making, forking, changing, deleting and restoring a chat."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat, Generation, Message
from chats.models import chat as chat_module
from personas.models import Persona
from tests.chats.conftest import MISSING, TEA, talk, texts

NEW = "/api/v1/chat/new"
FORK = "/api/v1/chat/fork"
TRASH = "/api/v1/chat/trash"

pytestmark = pytest.mark.django_db


def of(chat: Chat, what: str = "") -> str:
    return f"/api/v1/chat/{chat.pk}{what}"


SOUND = {
    "title": "Tea",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"id": "m-1", "role": "user", "content": "Which tea? "},
        {"role": "assistant", "content": "Oolong."},
    ],
}


class TestNew:
    def test_keeps_the_messages_as_they_are(self, as_alice: APIClient, alice: User):
        answer = as_alice.post(NEW, SOUND, format="json")

        assert answer.status_code == 201
        chat = Chat.objects.of(alice).get(pk=answer.json()["id"])
        assert [(m.role, m.content, m.client_id) for m in chat.messages_on()] == [
            ("system", "Be brief.", ""),
            ("user", "Which tea? ", "m-1"),
            ("assistant", "Oolong.", ""),
        ]
        assert chat.has_own_title

    def test_has_the_default_persona_unless_another_is_named(self, as_alice: APIClient):
        usual = as_alice.post(NEW, SOUND, format="json").json()
        other = Persona.objects.exclude(slug="maya").order_by("slug")[0]
        named = as_alice.post(NEW, SOUND | {"persona": other.slug}, format="json").json()

        assert usual["persona"] == "maya"
        assert named["persona"] == other.slug

    def test_with_an_unknown_persona_names_the_known_ones(self, as_alice: APIClient):
        answer = as_alice.post(NEW, SOUND | {"persona": "nobody"}, format="json")

        assert answer.status_code == 400
        assert "maya" in answer.json()["message"]

    def test_for_a_scope_that_the_key_lacks_is_forbidden(self, alice: User):
        key = ApiKey.make(alice, name="x", scopes=["chat", "internal"])[1]
        client = APIClient(headers={"authorization": f"Bearer {key}"})

        answer = client.post(NEW, SOUND | {"scope": "external"}, format="json")

        assert answer.status_code == 403
        assert answer.json()["error"] == "permission_error"
        assert client.post(NEW, SOUND, format="json").status_code == 201

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"messages": None}, "messages"),
            ({"messages": "hello"}, "messages"),
            ({"messages": {}}, "messages"),
            ({"messages": ["hello"]}, "messages"),
            ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
            ({"messages": [{"role": "user"}]}, "messages"),
            ({"messages": [{"role": "user", "content": None}]}, "messages"),
            ({"messages": [{"role": "user", "content": ["x"]}]}, "messages"),
            ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages"),
            ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages"),
            ({"messages": [{"role": "user", "content": "x", "created": 1}]}, "messages"),
            ({"messages": [{"id": "1", "role": "user", "content": "x"}] * 2}, "messages"),
            ({"messages": [{"role": "user", "content": "x"}] * 5001}, "messages"),
            ({"title": "x" * 201}, "title"),
            ({"title": ["x"]}, "title"),
            ({"title": "a\0"}, "title"),
            ({"scope": "secret"}, "scope"),
            ({"source": "x" * 101}, "source"),
            ({"owner": 1}, "non_field_errors"),
        ],
    )
    def test_of_what_is_not_sound_is_refused(
        self, as_alice: APIClient, change: dict[str, Any], field: str
    ):
        body = json.dumps(SOUND | change)

        answer = as_alice.post(NEW, body, content_type="application/json")

        assert answer.status_code == 400
        assert list(answer.json()["details"]) == [field]
        assert answer.json()["error"] == "invalid_request_error"
        assert not Chat.objects.exists()

    def test_that_is_too_large_is_refused(self, as_alice: APIClient, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2000
        body = {"messages": [{"role": "user", "content": "x" * 2000}]}

        answer = as_alice.post(NEW, body, format="json")

        assert answer.status_code == 413
        assert answer.json()["message"] == "The body is too large."


class TestFork:
    def test_keeps_the_messages_up_to_the_one_chosen(self, as_alice: APIClient, chat: Chat):
        answer = as_alice.post(FORK, {"chatId": str(chat.pk), "messageIndex": 1}, format="json")

        assert answer.status_code == 201
        fork = Chat.objects.get(pk=answer.json()["id"])
        assert texts(fork) == ["Which tea?", "Oolong."]
        assert texts(chat) == list(TEA)
        assert answer.json()["title"] == "Tea"

    def test_remembers_where_it_came_from(self, as_alice: APIClient, chat: Chat):
        message = chat.messages.get(position=2)

        answer = as_alice.post(
            FORK, {"chatId": str(chat.pk), "messageId": str(message.pk)}, format="json"
        )

        assert answer.json()["forkedFrom"] == str(message.pk)

    def test_keeps_order_times_and_who_answered(self, as_alice: APIClient, alice: User):
        maya = Persona.objects.get(slug="maya").current
        began = datetime(2024, 2, 29, tzinfo=UTC)
        chat = Chat.objects.create(owner=alice, persona_version=maya, relevance="lax")
        chat.bulk_append(
            Message(
                role="assistant",
                content=str(n),
                created=began + timedelta(seconds=-n),  # no order but the positions'
                persona_version=maya,
                model="gpt",
                fate="pinned",
            )
            for n in range(1200)
        )

        answer = as_alice.post(FORK, {"chatId": str(chat.pk), "messageIndex": 1150}, format="json")

        fork = Chat.objects.get(pk=answer.json()["id"])
        columns = ("role", "content", "created", "persona_version", "model", "fate", "position")
        kept = list(fork.messages_on().values_list(*columns))
        assert kept == list(chat.messages_on(end=1151).values_list(*columns))
        assert (fork.persona_version, fork.relevance) == (maya, "lax")

    def test_of_a_fork_and_of_a_branch_takes_the_way_to_the_message(
        self, as_alice: APIClient, chat: Chat
    ):
        chat = Chat.objects.get(pk=chat.pk)
        left = chat.messages_on().get(position=3)
        chat.branch_at(chat.messages_on().get(position=2))
        chat.append("user", "How long?")

        first = as_alice.post(
            FORK, {"chatId": str(chat.pk), "messageId": str(left.pk)}, format="json"
        )
        second = as_alice.post(
            FORK, {"chatId": first.json()["id"], "messageIndex": 2}, format="json"
        )
        shown = as_alice.post(FORK, {"chatId": str(chat.pk), "messageIndex": 2}, format="json")

        assert texts(Chat.objects.get(pk=first.json()["id"])) == list(TEA)
        assert texts(Chat.objects.get(pk=second.json()["id"])) == list(TEA[:3])
        assert texts(Chat.objects.get(pk=shown.json()["id"])) == [*TEA[:2], "How long?"]

    def test_of_a_chat_that_is_being_answered_is_a_conflict(
        self, as_alice: APIClient, chat: Chat, answering: Callable[[], Generation]
    ):
        answering()

        answer = as_alice.post(FORK, {"chatId": str(chat.pk), "messageIndex": 1}, format="json")

        assert answer.status_code == 409
        assert answer.json()["error"] == "conflict_error"
        assert Chat.objects.count() == 1

    def test_of_a_strangers_chat_is_not_found(self, as_bob: APIClient, chat: Chat):
        answer = as_bob.post(FORK, {"chatId": str(chat.pk), "messageIndex": 1}, format="json")

        assert answer.status_code == 404
        assert Chat.objects.count() == 1

    @pytest.mark.parametrize("where", [{"messageIndex": 4}, {"messageId": MISSING}])
    def test_at_a_message_that_is_not_there_is_not_found(
        self, as_alice: APIClient, chat: Chat, where: dict[str, Any]
    ):
        answer = as_alice.post(FORK, {"chatId": str(chat.pk)} | where, format="json")

        assert answer.status_code == 404

    def test_at_another_chat_s_message_is_not_found(self, as_bob: APIClient, bob: User, chat: Chat):
        own = talk(bob, "Hello")
        foreign = chat.messages.get(position=1)

        answer = as_bob.post(
            FORK, {"chatId": str(own.pk), "messageId": str(foreign.pk)}, format="json"
        )

        assert answer.status_code == 404

    def test_of_too_much_is_refused(
        self, as_alice: APIClient, chat: Chat, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(chat_module, "MOST_COPIED_MESSAGES", 2)
        body = {"chatId": str(chat.pk), "messageIndex": 2}

        assert as_alice.post(FORK, body, format="json").status_code == 400
        assert as_alice.post(FORK, body | {"messageIndex": 1}, format="json").status_code == 201

        monkeypatch.setattr(chat_module, "MOST_COPIED_CHARACTERS", 12)
        assert as_alice.post(FORK, body | {"messageIndex": 1}, format="json").status_code == 400

    @pytest.mark.parametrize(
        "change",
        [
            {"chatId": "x"},
            {"chatId": None},
            {"messageIndex": -1},
            {"messageIndex": None},
            {"messageIndex": 2**40},
            {"messageId": MISSING},  # beside the index
            {"title": "x" * 201},
            {"owner": 2},
        ],
    )
    def test_of_what_is_not_sound_is_refused(
        self, as_alice: APIClient, chat: Chat, change: dict[str, Any]
    ):
        body = {"chatId": str(chat.pk), "messageIndex": 1} | change

        answer = as_alice.post(FORK, body, format="json")

        assert answer.status_code == 400
        assert Chat.objects.count() == 1

    def test_outlives_the_chat_it_came_from(self, as_alice: APIClient, chat: Chat):
        answer = as_alice.post(FORK, {"chatId": str(chat.pk), "messageIndex": 1}, format="json")

        chat.delete()

        assert texts(Chat.objects.get(pk=answer.json()["id"])) == ["Which tea?", "Oolong."]


class TestPin:
    def test_is_set_and_taken_off(self, as_alice: APIClient, chat: Chat):
        for wished in (True, True, False, False):
            answer = as_alice.put(of(chat, "/pin"), {"pinned": wished}, format="json")
            assert answer.json()["pinned"] is wished

    def test_without_a_body_toggles(self, as_alice: APIClient, chat: Chat):
        assert as_alice.put(of(chat, "/pin")).json()["pinned"] is True
        assert as_alice.put(of(chat, "/pin")).json()["pinned"] is False

    @pytest.mark.parametrize("body", ['{"pinned": "perhaps"}', "[]", "3", "{", '{"pin": true}'])
    def test_of_what_is_not_sound_is_refused(self, as_alice: APIClient, chat: Chat, body: str):
        answer = as_alice.put(of(chat, "/pin"), body, content_type="application/json")

        assert answer.status_code == 400

    def test_answers_options_with_the_methods_that_it_has(self, as_alice, chat):
        answer = as_alice.options(of(chat, "/pin"))

        assert answer.status_code == 405
        assert "PUT" in answer.headers["Allow"]


class TestChange:
    def test_of_the_title_makes_it_the_person_s_own(self, as_alice: APIClient, chat: Chat):
        answer = as_alice.patch(of(chat), {"title": "Leaves"}, format="json")

        assert answer.status_code == 200
        assert (answer.json()["title"], answer.json()["hasOwnTitle"]) == ("Leaves", True)

    def test_leaves_what_is_not_named_and_the_place_in_the_history(
        self, as_alice: APIClient, chat: Chat
    ):
        before = as_alice.get(f"/api/v1/chat/fetch/{chat.pk}").json()

        as_alice.patch(of(chat), {"archived": True, "relevance": "lax"}, format="json")

        after = as_alice.get(f"/api/v1/chat/fetch/{chat.pk}").json()
        assert after == before | {"archived": True, "relevance": "lax"}

    @pytest.mark.parametrize(
        "change",
        [
            {"title": None},
            {"title": "x" * 201},
            {"pinned": "x"},
            {"relevance": "loose"},
            {"messageId": "x"},
            {"owner": 2},
            {"deleted_at": None},
            [],
        ],
    )
    def test_of_what_is_not_sound_is_refused(self, as_alice: APIClient, chat: Chat, change: Any):
        answer = as_alice.patch(of(chat), change, format="json")

        assert answer.status_code == 400
        assert texts(chat) == list(TEA)


class TestTrash:
    def test_holds_what_was_deleted(self, as_alice: APIClient, chat: Chat):
        assert as_alice.delete(of(chat)).status_code == 204

        assert as_alice.get("/api/v1/chat/history").json()["chats"] == []
        (trashed,) = as_alice.get(TRASH).json()["chats"]
        assert trashed["id"] == str(chat.pk)
        assert trashed["deletedAt"]

    def test_hides_the_chat_from_everything_else(self, as_alice: APIClient, chat: Chat):
        as_alice.delete(of(chat))

        assert as_alice.get(f"/api/v1/chat/fetch/{chat.pk}").status_code == 404
        assert as_alice.delete(of(chat)).status_code == 404
        assert as_alice.patch(of(chat), {"title": "x"}, format="json").status_code == 404
        fork = as_alice.post(FORK, {"chatId": str(chat.pk), "messageIndex": 1}, format="json")
        assert fork.status_code == 404

    def test_gives_a_chat_back_as_it_was(self, as_alice: APIClient, chat: Chat):
        as_alice.delete(of(chat))

        answer = as_alice.post(of(chat, "/restore"))

        assert answer.status_code == 200
        assert as_alice.get(TRASH).json()["chats"] == []
        assert texts(chat) == list(TEA)

    def test_of_a_chat_that_is_being_answered_stops_the_answer(
        self, as_alice: APIClient, chat: Chat, answering: Callable[[], Generation]
    ):
        generation = answering()

        as_alice.delete(of(chat))

        generation.refresh_from_db()
        assert generation.stop_requested

    def test_gives_nothing_back_after_thirty_days(self, as_alice: APIClient, chat: Chat):
        Chat.objects.update(deleted_at=timezone.now() - timedelta(days=30, minutes=1))

        assert as_alice.get(TRASH).json()["chats"] == []
        assert as_alice.post(of(chat, "/restore")).status_code == 404

    def test_can_be_emptied(self, as_alice: APIClient, alice: User, chat: Chat):
        other = talk(alice, "Hello")
        for each in (chat, other):
            as_alice.delete(of(each))

        assert as_alice.delete(f"{TRASH}/{chat.pk}").status_code == 204
        assert as_alice.post(of(chat, "/restore")).status_code == 404
        assert as_alice.delete(TRASH).status_code == 204
        assert as_alice.post(of(other, "/restore")).status_code == 404

    def test_takes_and_gives_back_nobody_else_s_chat(
        self, as_alice: APIClient, as_bob: APIClient, chat: Chat
    ):
        as_bob.delete(TRASH)
        as_alice.delete(of(chat))
        as_bob.delete(TRASH)

        assert as_bob.get(TRASH).json()["chats"] == []
        assert as_bob.post(of(chat, "/restore")).status_code == 404
        assert as_alice.post(of(chat, "/restore")).status_code == 200
