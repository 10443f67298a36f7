"""The list of chats: by page, filtered, always the caller's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from alchemyst.accounts.models import User
from chats.models import Chat
from personas.models import Persona
from tests.chats.conftest import talk

HISTORY = "/api/v1/chat/history"

pytestmark = pytest.mark.django_db


def titles(client: APIClient, **query: Any) -> list[str]:
    return [chat["title"] for chat in client.get(HISTORY, query).json()["chats"]]


def chats(owner: User, count: int, **fields: Any) -> list[Chat]:
    """Chats titled 0, 1, 2, ..., the last one the newest."""
    now = timezone.now()
    return Chat.objects.bulk_create(
        Chat(owner=owner, title=str(n), updated=now + timedelta(seconds=n), **fields)
        for n in range(count)
    )


def walk(client: APIClient, **query: Any) -> list[str]:
    """The titles on all pages."""
    found, cursor = [], ""
    while cursor is not None:
        answer = client.get(HISTORY, query | {"cursor": cursor}).json()
        found += [chat["title"] for chat in answer["chats"]]
        cursor = answer["nextCursor"]
    return found


class TestTheList:
    def test_has_the_pinned_chats_first_and_then_the_newest(self, as_alice: APIClient, alice: User):
        made = chats(alice, 4)
        Chat.objects.filter(pk=made[1].pk).update(is_pinned=True)

        assert titles(as_alice) == ["1", "3", "2", "0"]

    def test_tells_all_of_a_chat_but_its_messages(self, as_alice: APIClient, chat: Chat):
        (told,) = as_alice.get(HISTORY).json()["chats"]

        assert told == {
            "id": str(chat.pk),
            "title": "Tea",
            "hasOwnTitle": False,
            "persona": None,
            "personaVersion": None,
            "relevance": "",
            "scope": "internal",
            "username": "",
            "source": "",
            "pinned": False,
            "archived": False,
            "isAnswering": False,
            "forkedFrom": None,
            "createdAt": told["createdAt"],
            "updatedAt": told["updatedAt"],
            "match": None,
        }

    def test_says_where_an_answer_is_being_written(self, as_alice: APIClient, answering):
        answering()

        (told,) = as_alice.get(HISTORY).json()["chats"]
        assert told["isAnswering"] is True

    def test_has_no_stranger_s_chat_and_no_deleted_one(
        self, as_bob: APIClient, bob: User, chat: Chat
    ):
        talk(bob, "Hello", title="mine")
        talk(bob, "Hello", title="gone", deleted_at=timezone.now())

        assert titles(as_bob) == ["mine"]


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    def test_hold_every_chat_once(self, as_alice: APIClient, alice: User, limit: int):
        made = chats(alice, 7)
        Chat.objects.filter(pk__in=[made[2].pk, made[5].pk]).update(is_pinned=True)

        assert walk(as_alice, limit=limit) == ["5", "2", "6", "4", "3", "1", "0"]

    def test_hold_every_chat_once_when_all_are_of_the_same_moment(
        self, as_alice: APIClient, alice: User
    ):
        now = timezone.now()
        for n in range(5):
            Chat.objects.create(owner=alice, title=str(n), updated=now)

        assert sorted(walk(as_alice, limit=2)) == ["0", "1", "2", "3", "4"]

    def test_stay_where_they_are_while_chats_come_and_go(self, as_alice: APIClient, alice: User):
        made = chats(alice, 6)
        first = as_alice.get(HISTORY, {"limit": 2}).json()

        talk(alice, "new", title="new", updated=timezone.now() + timedelta(hours=1))
        made[5].delete()  # seen
        made[3].delete()  # not seen yet
        second = as_alice.get(HISTORY, {"limit": 2, "cursor": first["nextCursor"]}).json()

        assert [chat["title"] for chat in second["chats"]] == ["2", "1"]

    def test_go_on_after_a_chat_that_is_gone(self, as_alice: APIClient, alice: User):
        made = chats(alice, 4)
        first = as_alice.get(HISTORY, {"limit": 2}).json()

        made[2].delete()

        second = as_alice.get(HISTORY, {"limit": 2, "cursor": first["nextCursor"]}).json()
        assert [chat["title"] for chat in second["chats"]] == ["1", "0"]

    @pytest.mark.slow
    def test_cost_the_same_queries_however_many_chats_there_are(
        self,
        as_alice: APIClient,
        alice: User,
        django_assert_num_queries: DjangoAssertNumQueries,
    ):
        persona = Persona.objects.get(slug="maya").current
        chats(alice, 20_000, persona_version=persona)
        as_alice.get(HISTORY)  # who is calling is remembered from now on

        with django_assert_num_queries(1):
            first = as_alice.get(HISTORY, {"limit": 100}).json()
        with django_assert_num_queries(1):
            second = as_alice.get(HISTORY, {"limit": 100, "cursor": first["nextCursor"]}).json()

        assert len(first["chats"]) == len(second["chats"]) == 100
        assert second["chats"][0]["persona"] == "maya"


class TestFilters:
    def test_by_pin_persona_and_source(self, as_alice: APIClient, alice: User):
        maya = Persona.objects.get(slug="maya").current
        talk(alice, title="pinned", is_pinned=True)
        talk(alice, title="maya", persona_version=maya)
        talk(alice, title="crm", source="crm")

        assert titles(as_alice, pinned="true") == ["pinned"]
        assert titles(as_alice, pinned="false") == ["crm", "maya"]
        assert titles(as_alice, persona="maya") == ["maya"]
        assert titles(as_alice, persona="nobody") == []
        assert titles(as_alice, source="crm") == ["crm"]

    def test_keep_archived_chats_apart(self, as_alice: APIClient, alice: User):
        talk(alice, title="here")
        talk(alice, title="archived", is_archived=True)

        assert titles(as_alice) == ["here"]
        assert titles(as_alice, archived="true") == ["archived"]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"limit": "0"}, "limit"),
            ({"limit": "101"}, "limit"),
            ({"limit": "many"}, "limit"),
            ({"pinned": "perhaps"}, "pinned"),
            ({"archived": "2"}, "archived"),
            ({"cursor": "nonsense"}, "cursor"),
            ({"cursor": "bnVsbA=="}, "cursor"),
            ({"cursor": "WzFd"}, "cursor"),
            ({"cursor": "ü"}, "cursor"),
            ({"cursor": "W" * 301}, "cursor"),
            ({"q": "x" * 301}, "q"),
            ({"q": "a\0b"}, "q"),
            ({"persona": "a\0b"}, "persona"),
            ({"source": "x" * 101}, "source"),
        ],
    )
    def test_that_are_not_sound_are_refused(
        self, as_alice: APIClient, query: dict[str, str], field: str
    ):
        answer = as_alice.get(HISTORY, query)

        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_request_error"
        assert list(answer.json()["details"]) == [field]
