"""What goes away by itself, and what must not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from django.apps import apps
from django.conf import LazySettings
from django.utils import timezone
from rest_framework.test import APIClient

from alchemyst.accounts.models import User
from chats import retention
from chats.models import Chat, Event, Generation, Message
from chats.models.share import Share
from chats.tasks import clean_up
from tests.chats.conftest import TEA, talk, texts

pytestmark = pytest.mark.django_db


def days_ago(days: float):
    return timezone.now() - timedelta(days=days)


@pytest.fixture
def answered(chat: Chat, answering: Callable[[], Generation]) -> Generation:
    """An answer that ended, with its log."""
    generation = answering()
    generation.state, generation.finished = Generation.State.COMPLETE, timezone.now()
    generation.save()
    types = ("thinking_update", "response_delta", "final_response", "metadata", "done")
    Event.objects.bulk_create(
        Event(generation=generation, sequence=n, type=type, content="tea", data={})
        for n, type in enumerate(types, 1)
    )
    return generation


def rows() -> int:
    """How many rows the chats have, of any kind."""
    return sum(model.objects.count() for model in apps.get_app_config("chats").get_models())


class TestTheTrash:
    def test_vanishes_after_thirty_days_with_all_that_belongs_to_it(
        self, chat: Chat, answered: Generation
    ):
        message = Chat.objects.get(pk=chat.pk).messages_on().get(position=2)
        Chat.objects.get(pk=chat.pk).branch_at(message)
        chat.append("user", "edited")
        Share.objects.create(owner=chat.owner, chat=chat)
        Chat.objects.update(deleted_at=days_ago(30.01))

        clean_up()

        assert rows() == 0

    def test_keeps_a_chat_until_then(self, chat: Chat):
        Chat.objects.update(deleted_at=days_ago(29.9))

        clean_up()

        assert texts(chat) == list(TEA)

    def test_leaves_the_forks_of_what_vanishes(self, alice: User, chat: Chat):
        fork = chat.fork(at=chat.messages.get(position=1))
        Chat.objects.filter(pk=chat.pk).update(deleted_at=days_ago(31))

        clean_up()

        fork.refresh_from_db()
        assert fork.forked_from is None
        assert texts(fork) == list(TEA[:2])

    def test_vanishes_in_batches(self, alice: User, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(retention, "AT_ONCE", 3)
        kept = talk(alice, *TEA)
        for _ in range(5):
            talk(alice, *map(str, range(10)), deleted_at=days_ago(31))

        clean_up()

        assert Chat.objects.get() == kept
        assert kept.messages.count() == 4

    def test_that_was_emptied_vanishes_the_next_time(self, as_alice: APIClient, chat: Chat):
        as_alice.delete(f"/api/v1/chat/{chat.pk}")
        as_alice.delete("/api/v1/chat/trash")

        clean_up()

        assert rows() == 0


class TestRetention:
    @pytest.fixture
    def old(self, alice: User, bob: User) -> dict[str, Chat]:
        """A chat of Alice's and one of Bob's, both ten days old."""
        ten = days_ago(10)
        return {who.username: talk(who, "Hello", updated=ten) for who in (alice, bob)}

    def kept(self) -> set[str]:
        living = Chat.objects.filter(deleted_at=None)
        return set(living.values_list("owner__username", flat=True))

    def test_is_for_ever_unless_somebody_says_otherwise(self, old):
        clean_up()

        assert self.kept() == {"alice", "bob"}

    def test_by_the_operator_s_wish_ends_in_the_trash(
        self, old, settings: LazySettings, as_alice: APIClient
    ):
        settings.CHAT_KEEP_DAYS = 7

        clean_up()

        assert self.kept() == set()
        assert len(as_alice.get("/api/v1/chat/trash").json()["chats"]) == 1

    def test_is_a_user_s_own_wish_first(self, old, alice: User, bob: User, settings: LazySettings):
        settings.CHAT_KEEP_DAYS = 7
        User.objects.filter(pk=alice.pk).update(keep_chats_days=30)
        clean_up()
        assert self.kept() == {"alice"}

        User.objects.filter(pk=alice.pk).update(keep_chats_days=9)
        clean_up()
        assert self.kept() == set()

    def test_leaves_pinned_chats_and_those_in_use(self, old, settings: LazySettings):
        settings.CHAT_KEEP_DAYS = 7
        Chat.objects.filter(pk=old["alice"].pk).update(is_pinned=True)
        old["bob"].append("user", "Still here")

        clean_up()

        assert self.kept() == {"alice", "bob"}


class TestEventLogs:
    @pytest.fixture
    def long_ago(self, answered: Generation) -> Generation:
        """The answer, after its steps were let go."""
        Generation.objects.update(finished=timezone.now() - timedelta(hours=25))
        clean_up()
        return answered

    def test_of_answers_that_ended_long_ago_lose_their_steps(self, long_ago: Generation):
        types = long_ago.events.values_list("type", flat=True)

        assert list(types) == ["final_response", "metadata", "done"]

    def test_are_looked_at_once(self, long_ago: Generation):
        assert not Generation.objects.filter(has_steps=True).exists()

    def test_of_running_and_of_recent_answers_stay(self, answered: Generation):
        clean_up()
        assert Event.objects.count() == 5

        Generation.objects.update(finished=None, state="streaming")
        clean_up()
        assert Event.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_an_answer_without_its_steps_is_replayed_from_its_message(
    server: str, http: requests.Session, answered: Generation
):
    Message.objects.filter(pk=answered.message_id).update(content="Ninety degrees.")
    Generation.objects.update(finished=timezone.now() - timedelta(hours=25))
    clean_up()

    replay = http.get(f"{server}/api/v1/chat/replay/{answered.pk}", timeout=20)

    final, _, done = [line[6:] for line in replay.text.splitlines() if line.startswith("data: ")]
    assert json.loads(final)["content"] == "Ninety degrees."
    assert done == "[DONE]"


def test_cleaning_twice_at_once_is_harmless(chat: Chat):
    Chat.objects.update(deleted_at=days_ago(31))

    retention.purge(chat)
    retention.purge(chat)

    assert rows() == 0
