"""Search in titles and messages, the same on every database."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from alchemyst.accounts.models import User
from chats.models import Chat, Message
from chats.search import index
from chats.search.query import Query
from tests.chats.conftest import talk

HISTORY = "/api/v1/chat/history"

pytestmark = pytest.mark.django_db


def found(client: APIClient, words: str, **query: Any) -> list[str]:
    answer = client.get(HISTORY, {"q": words} | query)
    assert answer.status_code == 200, answer.json()
    return [chat["title"] for chat in answer.json()["chats"]]


def shown(parts: list[dict[str, Any]]) -> str:
    """A snippet with its matches in brackets."""
    return "".join(f"[{part['text']}]" if part["match"] else part["text"] for part in parts)


@pytest.fixture
def tea(alice: User) -> Chat:
    return talk(
        alice,
        "Which tea should I drink in the morning?",
        "Try an Oolong, it's half-oxidised: see https://tea.example/oolong-guide?lang=en.",
        "Und grüner Tee mit Müsli?",
        "Зелёный чай хорош утром. 緑茶は朝に良い。",
        title="Leaves in hot water",
    )


@pytest.fixture
def bread(alice: User) -> Chat:
    return talk(alice, "How do I bake bread?", "With hot stones, 250 °C.", title="Bread")


@pytest.mark.usefixtures("tea", "bread")
class TestWords:
    @pytest.mark.parametrize(
        "words",
        [
            "oolong",
            "OOLONG",
            "oolo",
            "drink morning",
            "morning drink",
            '"in the morning"',
            "half-oxidised",
            "oxidised",
            "tea.example",
            "guide",
            "it's",
            "leaves",
            "hot water",
            "grüner",
            "MÜSLI",
            "зелёный",
            "ЧАЙ",
            "утр",
            "緑茶",
            "tea -bread",
            "  tea  ",
        ],
    )
    def test_find_the_chat_that_has_them(self, as_alice: APIClient, words: str):
        assert found(as_alice, words) == ["Leaves in hot water"]

    @pytest.mark.parametrize(
        "words",
        [
            "coffee",
            "te",
            "olong",
            '"morning drink"',
            '"oolo"',
            "oolong bread",
            "tea -drink -oolong -tee -чай",
            "-tea",
            "- tea -oolong -which",
            "250 tea",
        ],
    )
    def test_that_nothing_has_find_nothing(self, as_alice: APIClient, words: str):
        assert found(as_alice, words) == []

    def test_may_find_several_chats_newest_first(self, as_alice: APIClient):
        assert found(as_alice, "hot") == ["Bread", "Leaves in hot water"]
        assert found(as_alice, "hot", limit=1) == ["Bread"]

    @pytest.mark.parametrize(
        "words",
        [
            "'", '"', '""', "\\", "''", "%", "_", "*", "-", "--", "()", "(", ":*", "& | !", "<->",
            "tea & !", "AND", "OR", "NOT", "NEAR(a b)", "said:tea", "^tea", "{tea}", "tea*", "a:b",
            "'; DROP TABLE chats_chat; --", "\ud7ff", "\u202e", "€", "🍵", "ﷺ", "a" * 300,
            "- " * 150, '"' * 300, "x " * 150, "%_%_%_%_%", "\\'tea", "tea\\", "é" * 300,
        ],
    )  # fmt: skip
    def test_of_any_kind_are_answered(self, as_alice: APIClient, words: str):
        answer = as_alice.get(HISTORY, {"q": words})

        assert answer.status_code == 200

    def test_in_the_words_of_a_query_language_are_only_words(
        self, as_alice: APIClient, alice: User
    ):
        talk(alice, "near and or not", title="grammar")

        assert found(as_alice, "not NEAR") == ["grammar"]
        assert found(as_alice, "bread OR coffee") == []

    def test_go_together_with_filters(self, as_alice: APIClient, bread: Chat):
        Chat.objects.filter(pk=bread.pk).update(is_pinned=True)

        assert found(as_alice, "hot", pinned="true") == ["Bread"]


class TestSnippets:
    def test_show_the_newest_message_that_matches(self, as_alice: APIClient, tea: Chat):
        (chat,) = as_alice.get(HISTORY, {"q": "te* hot"[:2] + "a"}).json()["chats"]

        message = chat["match"]["message"]
        assert message["position"] == 1
        assert message["role"] == "assistant"
        assert "https://[tea].example/oolong" in shown(message["snippet"])

    def test_mark_the_title_too(self, as_alice: APIClient, tea: Chat):
        (chat,) = as_alice.get(HISTORY, {"q": "hot wat"}).json()["chats"]

        assert shown(chat["match"]["title"]) == "Leaves in [hot] [water]"
        assert chat["match"]["message"] is None

    def test_are_cut_out_of_long_messages(self, as_alice: APIClient, alice: User):
        talk(alice, f"{'before ' * 2000}needle{' after' * 2000}", title="hay")

        (chat,) = as_alice.get(HISTORY, {"q": "needle"}).json()["chats"]

        text = shown(chat["match"]["message"]["snippet"])
        assert text.startswith("…before ")
        assert " [needle] " in text
        assert text.endswith(" after…")
        assert len(text) < 200

    def test_give_hostile_text_as_the_text_it_is(self, as_alice: APIClient, alice: User):
        talk(alice, "<script>alert('tea')</script>", title="<b>tea</b>")

        (chat,) = as_alice.get(HISTORY, {"q": "tea"}).json()["chats"]

        assert shown(chat["match"]["title"]) == "<b>[tea]</b>"
        assert "<script>alert('[tea]')" in shown(chat["match"]["message"]["snippet"])

    def test_cost_the_same_queries_however_many_chats_are_found(
        self,
        as_alice: APIClient,
        alice: User,
        django_assert_num_queries: DjangoAssertNumQueries,
    ):
        for n in range(50):
            talk(alice, "tea", "more tea", title=f"tea {n}")
        found(as_alice, "tea")

        with django_assert_num_queries(2):
            assert len(found(as_alice, "tea", limit=50)) == 50


class TestTheIndex:
    def test_forgets_what_was_changed_and_deleted(self, as_alice: APIClient, tea: Chat):
        message = tea.messages.get(position=0)
        message.content = "Which cocoa?"
        message.save()
        Chat.objects.filter(pk=tea.pk).update(title="Cups")
        tea.messages.filter(position__gte=1).delete()

        assert found(as_alice, "oolong") == found(as_alice, "drink") == []
        assert found(as_alice, "leaves") == []
        assert found(as_alice, "cocoa") == found(as_alice, "cups") == ["Cups"]

    def test_holds_nothing_of_a_deleted_chat(self, tea: Chat):
        tea.delete()

        assert not Message.objects.filter(content__words=Query.of("oolong")).exists()

    def test_of_a_stranger_s_chats_is_closed(self, as_bob: APIClient, tea: Chat):
        assert found(as_bob, "oolong") == []

    def test_has_nothing_that_is_in_the_trash(self, as_alice: APIClient, tea: Chat):
        as_alice.delete(f"/api/v1/chat/{tea.pk}")

        assert found(as_alice, "oolong") == []

    @pytest.mark.parametrize(
        "text", ["x" * 300_000, "語" * 300_000, "wörd " * 60_000, "\u0300" * 9]
    )
    @pytest.mark.slow
    def test_takes_texts_of_any_size(self, as_alice: APIClient, alice: User, text: str):
        talk(alice, f"needle {text}", title="found")

        assert found(as_alice, "needle") == ["found"]

    @pytest.mark.slow
    def test_takes_a_hundred_thousand_different_words(self, as_alice: APIClient, alice: User):
        talk(alice, "needle " + " ".join(f"{n:x}" for n in range(100_000)), title="found")

        assert found(as_alice, "needle") == ["found"]

    def test_comes_back_after_sqlite_has_lost_it(self, as_alice: APIClient, tea: Chat):
        if connection.vendor != "sqlite":
            pytest.skip("only SQLite can lose it")
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER chats_message_words_in")
        talk(tea.owner, "unseen needle", title="late")
        assert found(as_alice, "needle") == []

        index.repair(connection)

        assert found(as_alice, "needle") == ["late"]
        assert found(as_alice, "oolong") == ["Leaves in hot water"]
