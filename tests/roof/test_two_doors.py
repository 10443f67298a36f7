"""The API and the pages are two doors to one house: each rule holds at both, in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

import pytest
from django.contrib.messages import ERROR, get_messages
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat, Generation, Message
from chats.models.chat import LONGEST_TITLE, TRASH
from personas.models import Persona
from proxy.models import Provider
from tests.chats.conftest import TEA, talk, texts

pytestmark = pytest.mark.django_db


class Answer(Enum):
    """What came of an attempt, in whatever words a door says it."""

    DONE = "done"
    REFUSED = "refused"
    MISSING = "missing"


DONE, REFUSED, MISSING = Answer


@dataclass
class Api:
    """The JSON API, as a program of one user calls it."""

    client: APIClient

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        response = getattr(self.client, method)(f"/api/v1{path}", body, format="json")
        if response.status_code == 404:
            return MISSING
        if response.status_code >= 400:
            assert response.status_code in (400, 403, 409)
            assert response.json().keys() <= {"message", "error", "details"}
            return REFUSED
        return DONE

    def rename(self, chat: Chat, title: str) -> Answer:
        return self.call("patch", f"/chat/{chat.pk}", {"title": title})

    def pin(self, chat: Chat) -> Answer:
        return self.call("put", f"/chat/{chat.pk}/pin")

    def archive(self, chat: Chat) -> Answer:
        archived = Chat.objects.get(pk=chat.pk).is_archived
        return self.call("patch", f"/chat/{chat.pk}", {"archived": not archived})

    def set_mode(self, chat: Chat, mode: str) -> Answer:
        return self.call("patch", f"/chat/{chat.pk}", {"relevance": mode})

    def show(self, chat: Chat, message: Message) -> Answer:
        return self.call("patch", f"/chat/{chat.pk}", {"messageId": str(message.pk)})

    def set_fate(self, message: Message, fate: str) -> Answer:
        path = f"/chat/{message.chat_id}/messages/{message.pk}"
        return self.call("patch", path, {"fate": fate})

    def fork(self, chat: Chat, message: Message) -> Answer:
        body = {"chatId": str(chat.pk), "messageId": str(message.pk)}
        return self.call("post", "/chat/fork", body)

    def delete(self, chat: Chat) -> Answer:
        return self.call("delete", f"/chat/{chat.pk}")

    def restore(self, chat: Chat) -> Answer:
        return self.call("post", f"/chat/{chat.pk}/restore")

    def make_persona(self, slug: str, **fields: Any) -> Answer:
        return self.call("post", "/personas", {"slug": slug, "name": slug} | fields)

    def delete_persona(self, slug: str) -> Answer:
        return self.call("delete", f"/personas/{slug}")

    def store_provider(self, name: str) -> Answer:
        body = {"name": name, "base_url": "https://api.openai.com/v1", "key": "sk-doors"}
        return self.call("post", "/providers", body)

    def delete_provider(self, provider: Provider) -> Answer:
        return self.call("delete", f"/providers/{provider.pk}")

    def make_key(self, name: str) -> Answer:
        return self.call("post", "/auth/keys", {"name": name, "scopes": ["chat"]})

    def delete_key(self, key: ApiKey) -> Answer:
        return self.call("delete", f"/auth/keys/{key.pk}")


@dataclass
class Pages:
    """The pages, as one user's browser opens them."""

    client: Client

    def send(self, path: str, **fields: Any) -> Answer:
        # What was said before, a browser would have shown by now.
        self.client.cookies.pop("messages", None)
        response = self.client.post(path, fields, headers={"X-Fragment": "1"})
        if response.status_code == 404:
            return MISSING
        if response.status_code >= 400:
            assert response.status_code in (400, 403, 409)
            return REFUSED
        form = response.context and response.context.get("form")
        levels = [message.level for message in get_messages(response.wsgi_request)]
        return REFUSED if (form and form.errors) or ERROR in levels else DONE

    def rename(self, chat: Chat, title: str) -> Answer:
        return self.send(f"/chat/{chat.pk}/rename", title=title)

    def pin(self, chat: Chat) -> Answer:
        return self.send(f"/chat/{chat.pk}/pin")

    def archive(self, chat: Chat) -> Answer:
        return self.send(f"/chat/{chat.pk}/archive")

    def set_mode(self, chat: Chat, mode: str) -> Answer:
        return self.send(f"/chat/{chat.pk}/relevance", relevance=mode)

    def show(self, chat: Chat, message: Message) -> Answer:
        return self.send(f"/chat/{chat.pk}/show/{message.pk}")

    def set_fate(self, message: Message, fate: str) -> Answer:
        """Choose a fate among what an answer was given; the same once more takes it back."""
        chat = message.chat
        generation = chat.generations.first() or answer_of(chat, Generation.State.COMPLETE)
        generation.context = {"messages": [{"id": str(message.pk)}]}
        generation.save()
        chosen = fate or Message.objects.get(pk=message.pk).fate
        button = {"pinned": "pin", "excluded": "exclude"}[chosen or "pinned"]
        return self.send(f"/chat/{chat.pk}/fate", generation=generation.pk, **{button: "0"})

    def fork(self, chat: Chat, message: Message) -> Answer:
        return self.send(f"/chat/{chat.pk}/fork", message=message.pk)

    def delete(self, chat: Chat) -> Answer:
        return self.send(f"/chat/{chat.pk}/delete")

    def restore(self, chat: Chat) -> Answer:
        return self.send(f"/chat/{chat.pk}/restore")

    def make_persona(self, slug: str, **fields: Any) -> Answer:
        return self.send(
            "/personas/new", **{"slug": slug, "name": slug, "scopes": ["internal"]} | fields
        )

    def delete_persona(self, slug: str) -> Answer:
        return self.send(f"/personas/{slug}/delete")

    def store_provider(self, name: str) -> Answer:
        url = "https://api.openai.com/v1"
        return self.send(
            "/providers/new", name=name, dialect="openai", base_url=url, key="sk-doors"
        )

    def delete_provider(self, provider: Provider) -> Answer:
        return self.send(f"/providers/{provider.pk}/delete")

    def make_key(self, name: str) -> Answer:
        return self.send("/keys/new", name=name, scopes=["chat"], expires="30")

    def delete_key(self, key: ApiKey) -> Answer:
        return self.send(f"/keys/{key.pk}/revoke")


Door = Api | Pages


@pytest.fixture(params=["api", "pages"])
def door(request: pytest.FixtureRequest) -> Door:
    """Each of Alice's doors in turn."""
    if request.param == "api":
        return Api(request.getfixturevalue("as_alice"))
    return Pages(request.getfixturevalue("alices"))


@pytest.fixture(params=["api", "pages"])
def strange_door(request: pytest.FixtureRequest) -> Door:
    """Each of Bob's doors in turn."""
    if request.param == "api":
        return Api(request.getfixturevalue("as_bob"))
    return Pages(request.getfixturevalue("bobs"))


@pytest.fixture
def chat(alice: User) -> Chat:
    """Alice's chat of two exchanges."""
    return talk(alice, *TEA, title="Tea")


@pytest.fixture
def branches(chat: Chat) -> tuple[Message, Message]:
    """The last answers of two branches of Alice's chat; the second one is shown."""
    first = chat.messages_on().last()
    assert first is not None
    chat.branch_at(first)
    return first, chat.append("assistant", "Eighty degrees.")


def answer_of(chat: Chat, state: Generation.State) -> Generation:
    """An answer at the end of the chat, as far as it is."""
    return Generation.objects.create(
        owner_id=chat.owner_id,
        chat=chat,
        message=chat.append("assistant", ""),
        state=state,
        lease_until=timezone.now() + timedelta(minutes=1),
    )


class TestAChat:
    @pytest.mark.parametrize(
        ("title", "kept"),
        [
            ("Leaves", "Leaves"),
            ("  Leaves ", "Leaves"),
            ("", ""),
            ("   ", ""),
            ("x" * LONGEST_TITLE, "x" * LONGEST_TITLE),
        ],
        ids=["plain", "with blanks", "empty", "blank", "longest"],
    )
    def test_takes_a_title_and_without_one_lets_it_be_made_again(
        self, door: Door, chat: Chat, title: str, kept: str
    ):
        assert door.rename(chat, title) == DONE

        chat.refresh_from_db()
        assert (chat.title, chat.has_own_title) == (kept, bool(kept))

    def test_refuses_a_title_that_is_too_long(self, door: Door, chat: Chat):
        assert door.rename(chat, "x" * (LONGEST_TITLE + 1)) == REFUSED

        chat.refresh_from_db()
        assert (chat.title, chat.has_own_title) == ("Tea", False)

    def test_is_pinned_and_the_pin_taken_off(self, door: Door, chat: Chat):
        for is_pinned in (True, False):
            assert door.pin(chat) == DONE
            chat.refresh_from_db()
            assert chat.is_pinned is is_pinned

    def test_is_archived_and_put_back(self, door: Door, chat: Chat):
        for is_archived in (True, False):
            assert door.archive(chat) == DONE
            chat.refresh_from_db()
            assert chat.is_archived is is_archived

    @pytest.mark.parametrize(
        ("mode", "answer", "kept"),
        [("off", DONE, "off"), ("", DONE, ""), ("sloppy", REFUSED, "lax")],
    )
    def test_takes_a_known_mode(self, door: Door, chat: Chat, mode: str, answer: Answer, kept: str):
        chat.set_mode("lax")

        assert door.set_mode(chat, mode) == answer

        chat.refresh_from_db()
        assert chat.relevance == kept

    @pytest.mark.parametrize("fate", ["pinned", "excluded"])
    def test_takes_and_gives_up_a_message_s_fate(self, door: Door, chat: Chat, fate: str):
        message = chat.messages.get(position=1)

        for wished in (fate, ""):
            assert door.set_fate(message, wished) == DONE
            message.refresh_from_db()
            assert message.fate == wished

    def test_changes_no_other_column_than_the_one_asked_for(self, door: Door, chat: Chat):
        Chat.objects.filter(pk=chat.pk).update(is_pinned=True, relevance="lax")

        door.rename(chat, "Leaves")
        door.archive(chat)

        chat.refresh_from_db()
        assert (chat.title, chat.is_pinned, chat.is_archived) == ("Leaves", True, True)
        assert (chat.relevance, texts(chat)) == ("lax", list(TEA))


class TestABranch:
    def test_is_shown_by_one_of_its_messages(
        self, door: Door, chat: Chat, branches: tuple[Message, Message]
    ):
        assert door.show(chat, branches[0]) == DONE

        assert texts(chat) == list(TEA)

    def test_is_not_changed_while_an_answer_is_written(
        self, door: Door, chat: Chat, branches: tuple[Message, Message]
    ):
        answer_of(chat, Generation.State.STREAMING)

        assert door.show(chat, branches[0]) == REFUSED

        assert texts(chat) == [*TEA[:3], "Eighty degrees.", ""]

    def test_is_not_shown_by_another_chat_s_message(self, door: Door, alice: User, chat: Chat):
        other = talk(alice, "Hello")

        assert door.show(chat, other.messages.get()) == MISSING

    def test_is_not_forked_while_an_answer_is_written(
        self, door: Door, chat: Chat, branches: tuple[Message, Message]
    ):
        answer_of(chat, Generation.State.STREAMING)

        assert door.fork(chat, branches[0]) == REFUSED

        assert Chat.objects.count() == 1

    def test_of_too_much_is_not_forked(
        self, door: Door, chat: Chat, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("chats.models.chat.MOST_COPIED_MESSAGES", 2)

        assert door.fork(chat, chat.messages.get(position=3)) == REFUSED
        assert door.fork(chat, chat.messages.get(position=1)) == DONE


def test_a_refused_branch_changes_nothing_else_of_the_chat(
    as_alice: APIClient, chat: Chat, branches: tuple[Message, Message]
):
    answer_of(chat, Generation.State.STREAMING)
    change = {"title": "Leaves", "messageId": str(branches[0].pk)}

    response = as_alice.patch(f"/api/v1/chat/{chat.pk}", change, format="json")

    assert response.status_code == 409
    assert response.json()["error"] == "conflict_error"
    assert list(response.json()["details"]) == ["messageId"]
    chat.refresh_from_db()
    assert chat.title == "Tea"


class TestTheTrash:
    def test_takes_a_chat_with_its_answers_and_gives_it_back(self, door: Door, chat: Chat):
        generation = answer_of(chat, Generation.State.STREAMING)

        assert door.delete(chat) == DONE
        generation.refresh_from_db()
        assert generation.stop_requested
        assert door.rename(chat, "Leaves") == MISSING
        assert door.restore(chat) == DONE

        chat.refresh_from_db()
        assert (chat.deleted_at, chat.title) == (None, "Tea")

    def test_gives_nothing_back_after_its_time(self, door: Door, chat: Chat):
        long_ago = timezone.now() - TRASH - timedelta(minutes=1)
        Chat.objects.filter(pk=chat.pk).update(deleted_at=long_ago)

        assert door.restore(chat) == MISSING

    def test_gives_nothing_back_that_is_not_in_it(self, door: Door, chat: Chat):
        assert door.restore(chat) == MISSING


class TestPersonas:
    @pytest.fixture(autouse=True)
    def _limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("personas.models.MOST_PERSONAS", 2)

    def test_are_so_many_and_no_more(self, door: Door, alice: User):
        assert [door.make_persona(slug) for slug in ("a", "b", "c")] == [DONE, DONE, REFUSED]

        assert set(Persona.objects.of(alice).values_list("slug", flat=True)) == {"a", "b"}

    def test_that_were_deleted_are_not_counted(self, door: Door, alice: User):
        for slug in ("a", "b", "c"):
            assert door.make_persona(slug) == DONE
            assert door.delete_persona(slug) == DONE

        assert door.make_persona("d") == DONE
        assert Persona.objects.of(alice).count() == 1

    def test_have_one_slug_each_until_they_are_deleted(self, door: Door):
        assert [door.make_persona("a"), door.make_persona("a")] == [DONE, REFUSED]
        assert [door.delete_persona("a"), door.make_persona("a")] == [DONE, DONE]

    def test_on_a_provider_need_its_model(self, door: Door, alice: User):
        provider = Provider.sealed(alice.pk, name="mine", base_url="https://a.example", key="sk")
        provider.save()
        named: Any = "mine" if isinstance(door, Api) else provider.pk

        assert door.make_persona("a", provider=named) == REFUSED
        assert door.make_persona("a", provider=named, model="m") == DONE

    def test_begin_with_six_questions_at_most(self, door: Door):
        def written(count: int) -> Any:
            lines = [f"Question {n}?" for n in range(count)]
            return lines if isinstance(door, Api) else "\n".join(lines)

        assert door.make_persona("a", starters=written(7)) == REFUSED
        assert door.make_persona("a", starters=written(6)) == DONE

    def test_that_are_shared_are_changed_by_staff_alone(self, door: Door, bob: User):
        shared = Persona(owner=bob, slug="ours", is_shared=True)
        shared.store(name="Ours")

        assert door.delete_persona("ours") == REFUSED
        assert Persona.objects.filter(slug="ours", retired_at=None).exists()


class TestProviders:
    def test_are_so_many_and_no_more(
        self, door: Door, alice: User, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("proxy.models.provider.MOST_PROVIDERS", 1)

        assert [door.store_provider(name) for name in ("a", "b")] == [DONE, REFUSED]

        assert door.delete_provider(Provider.objects.of(alice.pk).get()) == DONE
        assert door.store_provider("b") == DONE

    @pytest.mark.parametrize("name", ["a", "default", "No name"])
    def test_have_one_sound_name_each(self, door: Door, name: str):
        door.store_provider("a")

        assert door.store_provider(name) == REFUSED
        assert Provider.objects.count() == 1


def test_keys_are_so_many_and_no_more(door: Door, alice: User, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("alchemyst.accounts.models.account.MOST_KEYS", 1)

    assert [door.make_key(name) for name in ("a", "b")] == [DONE, REFUSED]

    assert door.delete_key(ApiKey.objects.of(alice).get()) == DONE
    assert door.make_key("b") == DONE


@pytest.fixture
def things(alice: User, chat: Chat) -> Iterator[dict[str, Any]]:
    """What Alice has."""
    key, _ = ApiKey.make(alice, name="laptop", scopes=["chat"])
    provider = Provider.sealed(alice.pk, name="mine", base_url="https://a.example", key="sk")
    provider.save()
    Persona(owner=alice, slug="pirate").store(name="Pirate")
    return {
        "chat": chat,
        "message": chat.messages.get(position=3),
        "key": key,
        "provider": provider,
    }


ATTEMPTS: dict[str, Callable[[Door, dict[str, Any]], Answer]] = {
    "rename": lambda door, her: door.rename(her["chat"], "Mine"),
    "pin": lambda door, her: door.pin(her["chat"]),
    "archive": lambda door, her: door.archive(her["chat"]),
    "set mode": lambda door, her: door.set_mode(her["chat"], "lax"),
    "show": lambda door, her: door.show(her["chat"], her["message"]),
    "set fate": lambda door, her: door.set_fate(her["message"], "excluded"),
    "fork": lambda door, her: door.fork(her["chat"], her["message"]),
    "delete": lambda door, her: door.delete(her["chat"]),
    "restore": lambda door, her: door.restore(her["chat"]),
    "delete persona": lambda door, her: door.delete_persona("pirate"),
    "delete provider": lambda door, her: door.delete_provider(her["provider"]),
    "delete key": lambda door, her: door.delete_key(her["key"]),
}


UNTOUCHED = ("title", "is_pinned", "is_archived", "relevance", "branch", "deleted_at")


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_stranger_s_things_are_not_there(
    strange_door: Door, things: dict[str, Any], attempt: str
):
    before = Chat.objects.values(*UNTOUCHED).get()

    assert ATTEMPTS[attempt](strange_door, things) == MISSING

    assert Chat.objects.values(*UNTOUCHED).get() == before
    assert (ApiKey.objects.count(), Provider.objects.count()) == (1, 1)
    assert Persona.objects.filter(slug="pirate", retired_at=None).exists()
