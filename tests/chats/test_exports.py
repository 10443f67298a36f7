"""Chats as files: ours come back whole, the others can be read elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from alchemyst.accounts.models import User
from chats.imports import run
from chats.models import Chat, Generation, ImportJob, Message
from personas.models import Persona
from tests.chats.conftest import MISSING, TEA, talk, texts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def export(server: str, http: requests.Session) -> Callable[..., requests.Response]:
    """Ask for Alice's chats as a file."""

    def ask(**query: Any) -> requests.Response:
        return http.get(f"{server}/api/v1/chat/export", params=query, timeout=60)

    return ask


@pytest.fixture
def branched(alice: User, shipped: None) -> Chat:
    """A chat with all that a chat may have."""
    chat = talk(
        alice,
        *TEA,
        title="Tea “for” two",
        persona_version=Persona.objects.get(slug="maya").current,
        is_pinned=True,
        relevance="lax",
        username="u-1",
        source="crm",
        has_own_title=True,
    )
    chat = Chat.objects.get(pk=chat.pk)
    first, second = chat.messages_on().get(position=2), chat.messages_on().get(position=0)
    chat.branch_at(first)
    chat.append("user", "How long?", fate="pinned", metadata={"sources": ["a"]})
    chat.append("assistant", "Three\n\nminutes.", model="gpt")
    shown = chat.branch
    assert shown
    chat.branch_at(second)
    chat.append("user", "Which coffee?")
    chat.show(shown)
    return chat


def tree(chat: Chat) -> set[tuple[Any, ...]]:
    """All messages of a chat, each with what stands before it."""
    return {
        (
            message.role,
            message.content,
            message.position,
            message.parent and message.parent.content,
            message.created,
            message.model,
            message.fate,
            str(message.metadata),
        )
        for message in chat.messages.select_related("parent")
    }


class TestOurJson:
    def test_comes_back_as_the_same_chats(self, export, bob: User, branched: Chat):
        file = export().content

        run.run(ImportJob.begin(bob.pk, [file]).pk)

        (copy,) = Chat.objects.of(bob)
        branched.refresh_from_db()
        assert tree(copy) == tree(branched)
        assert texts(copy) == texts(branched)
        for name in (
            *("title", "persona_version", "is_pinned", "is_archived", "relevance", "scope"),
            *("username", "source", "has_own_title", "created", "updated"),
        ):
            assert getattr(copy, name) == getattr(branched, name), name

    def test_comes_back_once(self, export, alice: User, bob: User, branched: Chat):
        file = export().content

        for owner in (alice, bob, bob):
            run.run(ImportJob.begin(owner.pk, [file]).pk)

        assert [job.imported for job in ImportJob.objects.order_by("pk")] == [0, 1, 0]
        assert Chat.objects.count() == 2

    def test_has_each_chat_of_the_caller_s_and_no_other(
        self, export, alice: User, bob: User, branched: Chat
    ):
        talk(alice, "Hello", title="second")
        talk(bob, "Secret", title="bob's")
        Chat.objects.filter(pk=talk(alice, "gone", title="deleted").pk).move_to_trash()

        told = export().json()

        assert (told["format"], told["version"]) == ("alchemyst-chats", 1)
        assert [chat["title"] for chat in told["chats"]] == ["Tea “for” two", "second"]

    def test_of_one_chat_is_that_one(self, export, alice: User, branched: Chat):
        talk(alice, "Hello")

        assert len(export(chatId=str(branched.pk)).json()["chats"]) == 1

    def test_of_nothing_is_a_file_too(self, export):
        assert export().json()["chats"] == []

    def test_of_many_messages_has_each_once_and_in_order(self, export, alice: User):
        chat = talk(alice, *map(str, range(1001)))

        (told,) = export(chatId=str(chat.pk)).json()["chats"]

        assert [message["content"] for message in told["messages"]] == [*map(str, range(1001))]


class TestOtherForms:
    def test_markdown_is_the_shown_branch_to_read(self, export, branched: Chat):
        response = export(format="markdown")

        assert response.headers["content-type"].startswith("text/markdown")
        assert ".md" in response.headers["content-disposition"]
        response.encoding = "utf-8"
        assert response.text.startswith("# Tea “for” two\n")
        assert "\n## You\n\nHow long?\n\n## Maya\n\nThree\n\nminutes.\n" in response.text
        assert "How hot?" not in response.text

    def test_openai_is_a_line_of_messages_for_each_chat(
        self, export, alice: User, branched: Chat, answering: Callable[[], Generation]
    ):
        answering()
        talk(alice, "line\nbreak")

        lines = [json.loads(line) for line in export(format="openai").text.splitlines()]

        assert [[said["content"] for said in line["messages"]] for line in lines] == [
            [*TEA[:2], "How long?", "Three\n\nminutes."],
            [*TEA, "And then?"],
            ["line\nbreak"],
        ]

    def test_that_there_is_not_is_refused(self, export):
        assert export(format="docx").status_code == 400

    def test_of_a_chat_that_is_somebody_else_s_is_not_found(self, export, bob: User):
        foreign = export(chatId=str(talk(bob, "Secret").pk))
        missing = export(chatId=MISSING)

        assert foreign.status_code == missing.status_code == 404
        assert foreign.content == missing.content


def test_a_person_s_own_export_has_their_chats(alice: User, branched: Chat):
    from chats.transfer import personal_data

    (chat,) = personal_data.chats(alice.pk)
    messages = list(personal_data.messages(alice.pk))

    assert chat["title"] == "Tea “for” two"
    assert len(messages) == Message.objects.count()
    assert {message["chatId"] for message in messages} == {str(branched.pk)}
