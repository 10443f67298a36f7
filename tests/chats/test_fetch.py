"""One chat with its messages: windows of a long one, and what else stood in a place."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from alchemyst.accounts.models import User
from chats.models import Chat, Generation
from tests.chats.conftest import TEA, talk, texts

pytestmark = pytest.mark.django_db


def fetch(client: APIClient, chat: Chat, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/api/v1/chat/fetch/{chat.pk}", query)
    assert answer.status_code == 200, answer.json()
    told: dict[str, Any] = answer.json()
    return told


def said(told: dict[str, Any]) -> list[str]:
    return [message["content"] for message in told["messages"]]


class TestFetch:
    def test_has_the_messages_in_order(self, as_alice: APIClient, chat: Chat):
        told = fetch(as_alice, chat)

        assert said(told) == list(TEA)
        assert [message["position"] for message in told["messages"]] == [0, 1, 2, 3]
        assert told["title"] == "Tea"
        assert told["messageCount"] == 4
        assert not told["hasBefore"]
        assert not told["hasAfter"]

    def test_of_a_chat_without_messages_is_empty(self, as_alice: APIClient, alice: User):
        told = fetch(as_alice, talk(alice))

        assert told["messages"] == []
        assert told["messageCount"] == 0

    def test_tells_of_an_answer_how_it_came_to_be(self, as_alice: APIClient, chat: Chat, answering):
        generation: Generation = answering()

        *_, question, answer = fetch(as_alice, chat)["messages"]

        assert question["generation"] is None
        assert answer["generation"] == {
            "replaySessionID": str(generation.pk),
            "state": "streaming",
            "error": "",
        }


class TestWindows:
    @pytest.fixture
    def long(self, alice: User) -> Chat:
        """A chat of ten messages, 0 to 9, after 5 of which another branch was opened and left."""
        chat = talk(alice, *map(str, range(10)))
        chat.refresh_from_db()
        shown = chat.branch
        assert shown
        chat.branch_at(chat.messages_on().get(position=5))
        chat.append("assistant", "five")
        chat.show(shown)
        return chat

    @pytest.mark.parametrize(
        ("query", "expected", "before", "after"),
        [
            ({"limit": 3}, "789", True, False),
            ({"limit": 10}, "0123456789", False, False),
            ({"limit": 3, "before": 7}, "456", True, True),
            ({"limit": 3, "before": 2}, "01", False, True),
            ({"limit": 3, "before": 0}, "", False, True),
            ({"limit": 3, "before": 99}, "789", True, False),
            ({"limit": 3, "after": -1}, "012", False, True),
            ({"limit": 3, "after": 4}, "567", True, True),
            ({"limit": 3, "after": 8}, "9", True, False),
            ({"limit": 3, "after": 99}, "", True, False),
        ],
    )
    def test_hold_the_messages_beside_a_position(
        self,
        as_alice: APIClient,
        long: Chat,
        query: dict[str, int],
        expected: str,
        before: bool,
        after: bool,
    ):
        told = fetch(as_alice, long, **query)

        assert "".join(said(told)) == expected
        assert (told["hasBefore"], told["hasAfter"]) == (before, after)
        assert told["messageCount"] == 10

    def test_hold_at_most_two_hundred_messages_unless_asked(self, as_alice: APIClient, alice: User):
        chat = talk(alice, *map(str, range(450)))

        assert said(fetch(as_alice, chat)) == [str(n) for n in range(250, 450)]
        assert len(fetch(as_alice, chat, limit=1000)["messages"]) == 450

    def test_cross_the_place_where_a_branch_begins(self, as_alice: APIClient, long: Chat):
        chat = Chat.objects.get(pk=long.pk)
        chat.branch_at(chat.messages_on().get(position=4))
        for text in ("four", "v", "vi"):
            chat.append("user", text)

        assert said(fetch(as_alice, chat, before=6, limit=4)) == ["2", "3", "four", "v"]
        assert fetch(as_alice, chat)["messageCount"] == 7

    @pytest.mark.parametrize(
        "query", [{"limit": 0}, {"limit": 1001}, {"before": -1}, {"after": "x"}]
    )
    def test_that_make_no_sense_are_refused(
        self, as_alice: APIClient, long: Chat, query: dict[str, Any]
    ):
        answer = as_alice.get(f"/api/v1/chat/fetch/{long.pk}", query)

        assert answer.status_code == 400
        assert list(answer.json()["details"]) == list(query)

    def test_on_both_sides_at_once_are_refused(self, as_alice: APIClient, long: Chat):
        answer = as_alice.get(f"/api/v1/chat/fetch/{long.pk}", {"before": 3, "after": 1})

        assert answer.status_code == 400

    @pytest.mark.parametrize("count", [10, 3000])
    def test_cost_the_same_queries_however_long_the_chat_is(
        self,
        as_alice: APIClient,
        alice: User,
        count: int,
        django_assert_num_queries: DjangoAssertNumQueries,
    ):
        chat = talk(alice, *map(str, range(count)))
        chat = Chat.objects.get(pk=chat.pk)
        chat.branch_at(chat.messages_on().get(position=count - 4))
        chat.append("user", "edited")
        fetch(as_alice, chat)

        with django_assert_num_queries(6):
            fetch(as_alice, chat)


class TestBranches:
    """A question is edited: what was said stays, and either way can be shown."""

    @pytest.fixture
    def edited(self, chat: Chat) -> Chat:
        chat = Chat.objects.get(pk=chat.pk)
        chat.branch_at(chat.messages_on().get(position=2))
        chat.append("user", "How long?")
        chat.append("assistant", "Three minutes.")
        return chat

    def test_tell_which_of_how_many_a_message_is(self, as_alice: APIClient, edited: Chat):
        told = fetch(as_alice, edited)["messages"]

        standings = [
            (message["alternatives"]["index"], message["alternatives"]["count"]) for message in told
        ]
        assert standings == [(1, 1), (1, 1), (2, 2), (1, 1)]
        assert told[2]["alternatives"]["ids"][1] == told[2]["id"]

    def test_are_chosen_by_a_message_on_them(self, as_alice: APIClient, edited: Chat):
        first, _ = fetch(as_alice, edited)["messages"][2]["alternatives"]["ids"]

        answer = as_alice.patch(f"/api/v1/chat/{edited.pk}", {"messageId": first}, format="json")

        assert answer.status_code == 200
        assert said(fetch(as_alice, edited)) == list(TEA)
        assert fetch(as_alice, edited)["messages"][2]["alternatives"]["index"] == 1

    def test_chosen_by_a_message_that_several_share_are_the_newest(
        self, as_alice: APIClient, edited: Chat
    ):
        shared, _, question, _ = fetch(as_alice, edited)["messages"]
        old = question["alternatives"]["ids"][0]
        as_alice.patch(f"/api/v1/chat/{edited.pk}", {"messageId": old}, format="json")

        as_alice.patch(f"/api/v1/chat/{edited.pk}", {"messageId": shared["id"]}, format="json")

        assert texts(edited)[2] == "How long?"

    def test_of_the_first_question_stand_beside_it(self, as_alice: APIClient, chat: Chat):
        chat = Chat.objects.get(pk=chat.pk)
        for text in ("Which coffee?", "Which cocoa?"):
            chat.branch_at(chat.messages_on().get(position=0))
            chat.append("user", text)

        (told,) = fetch(as_alice, chat)["messages"]

        assert told["content"] == "Which cocoa?"
        assert told["alternatives"]["index"] == told["alternatives"]["count"] == 3

    def test_are_not_chosen_by_another_chat_s_message(
        self, as_alice: APIClient, edited: Chat, alice: User
    ):
        other = talk(alice, "Hello")
        foreign = other.messages_on().get()

        answer = as_alice.patch(
            f"/api/v1/chat/{edited.pk}", {"messageId": str(foreign.pk)}, format="json"
        )

        assert answer.status_code == 404
        assert texts(edited)[2] == "How long?"


class TestFate:
    @pytest.mark.parametrize("fate", ["pinned", "excluded", ""])
    def test_of_a_message_is_its_owner_s_wish(self, as_alice: APIClient, chat: Chat, fate: str):
        message = Chat.objects.get(pk=chat.pk).messages_on().get(position=2)

        answer = as_alice.patch(
            f"/api/v1/chat/{chat.pk}/messages/{message.pk}", {"fate": fate}, format="json"
        )

        assert answer.status_code == 200
        assert answer.json()["fate"] == fate
        message.refresh_from_db()
        assert message.fate == fate
        assert message.content == "How hot?"

    @pytest.mark.parametrize("body", [{}, {"fate": "eaten"}, {"fate": None}, {"content": "x"}, []])
    def test_that_there_is_not_is_refused(self, as_alice: APIClient, chat: Chat, body: Any):
        message = Chat.objects.get(pk=chat.pk).messages_on().get(position=2)

        answer = as_alice.patch(
            f"/api/v1/chat/{chat.pk}/messages/{message.pk}", body, format="json"
        )

        assert answer.status_code == 400
        message.refresh_from_db()
        assert message.fate == ""

    def test_of_another_chat_s_message_is_not_found(
        self, as_alice: APIClient, chat: Chat, alice: User
    ):
        message = talk(alice, "Hello").messages_on().get()

        answer = as_alice.patch(
            f"/api/v1/chat/{chat.pk}/messages/{message.pk}", {"fate": "pinned"}, format="json"
        )

        assert answer.status_code == 404
