"""Nobody reaches a chat but its owner, and nobody learns whether it exists."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat
from tests.chats.conftest import MISSING, TEA, texts

# Every endpoint that names a chat: method, path and body, with {chat} and {message} to fill in.
NAMING: list[tuple[str, str, Any]] = [
    ("get", "/api/v1/chat/fetch/{chat}", None),
    ("post", "/api/v1/chat/fork", {"chatId": "{chat}", "messageIndex": 0}),
    ("post", "/api/v1/chat/fork", {"chatId": "{chat}", "messageId": "{message}"}),
    ("put", "/api/v1/chat/{chat}/pin", {"pinned": True}),
    ("put", "/api/v1/chat/{chat}/pin", None),
    ("patch", "/api/v1/chat/{chat}", {"title": "Mine now"}),
    ("patch", "/api/v1/chat/{chat}", {"messageId": "{message}"}),
    ("patch", "/api/v1/chat/{chat}", {"owner": 1}),
    ("delete", "/api/v1/chat/{chat}", None),
    ("post", "/api/v1/chat/{chat}/restore", None),
    ("delete", "/api/v1/chat/trash/{chat}", None),
    ("patch", "/api/v1/chat/{chat}/messages/{message}", {"fate": "excluded"}),
    ("get", "/api/v1/chat/export?chatId={chat}", None),
    ("get", "/api/v1/chat/import/{chat}", None),
    ("post", "/api/v1/chat/import/{chat}/stop", {"keep": False}),
]
OTHERS: list[tuple[str, str, Any]] = [
    ("get", "/api/v1/chat/history", None),
    ("get", "/api/v1/chat/trash", None),
    ("delete", "/api/v1/chat/trash", None),
    ("post", "/api/v1/chat/new", {"messages": []}),
    ("get", "/api/v1/chat/history?q=tea", None),
    ("get", "/api/v1/chat/export", None),
    ("get", "/api/v1/chat/import", None),
    ("post", "/api/v1/chat/import", {"chats": []}),
]

pytestmark = pytest.mark.django_db


def named(case: tuple[str, str, Any]) -> str:
    return f"{case[0]} {case[1]} {case[2]}"


def ask(client: APIClient, case: tuple[str, str, Any], chat: object, message: object) -> Any:
    method, path, body = case
    ids = {"{chat}": str(chat), "{message}": str(message)}
    path = path.format(chat=chat, message=message)
    if body is not None:
        body = {name: ids.get(str(value), value) for name, value in body.items()}
    return getattr(client, method)(path, body, format="json")


@pytest.mark.parametrize("case", NAMING, ids=named)
class TestAChatOfSomebodyElse:
    def test_is_answered_as_if_it_were_not_there(self, as_bob: APIClient, chat: Chat, case):
        message = chat.messages.get(position=2)

        foreign = ask(as_bob, case, chat.pk, message.pk)
        missing = ask(as_bob, case, MISSING, message.pk)

        assert foreign.status_code == missing.status_code == 404
        assert foreign.content == missing.content
        chat.refresh_from_db()
        assert (chat.title, chat.is_pinned, chat.deleted_at) == ("Tea", False, None)
        assert texts(chat) == list(TEA)

    def test_is_not_there_for_staff_either(self, chat: Chat, case):
        staff = User.objects.create_user("staff", is_staff=True, is_superuser=True)
        client = APIClient(headers={"authorization": f"Bearer {issue(staff).access}"})

        answer = ask(client, case, chat.pk, chat.messages.get(position=2).pk)

        assert answer.status_code == 404


@pytest.mark.parametrize("case", NAMING + OTHERS, ids=named)
class TestACallerWithout:
    def test_a_token_is_refused(self, chat: Chat, case):
        answer = ask(APIClient(), case, chat.pk, MISSING)

        assert answer.status_code == 401
        assert answer.json()["error"] == "authentication_error"
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_a_sound_token_is_refused(self, chat: Chat, case):
        client = APIClient(headers={"authorization": "Bearer alk_garbage"})

        assert ask(client, case, chat.pk, MISSING).status_code == 401

    def test_a_living_account_is_refused(self, chat: Chat, alice: User, case):
        client = APIClient(headers={"authorization": f"Bearer {issue(alice).access}"})
        alice.is_active = False
        alice.save()

        assert ask(client, case, chat.pk, MISSING).status_code == 401

    def test_the_scope_is_forbidden(self, chat: Chat, alice: User, case):
        key = ApiKey.make(alice, name="x", scopes=["proxy"])[1]
        client = APIClient(headers={"authorization": f"Bearer {key}"})

        assert ask(client, case, chat.pk, MISSING).status_code == 403


@pytest.mark.parametrize("case", NAMING + OTHERS, ids=named)
class TestAPagesSession:
    def test_may_read_and_shows_the_csrf_token_for_more(self, chat: Chat, alice: User, case):
        client = APIClient(enforce_csrf_checks=True)
        client.force_login(alice)
        message = chat.messages.get(position=2).pk

        bare = ask(client, case, chat.pk, message)
        client.cookies["csrftoken"] = "a" * 32
        client.credentials(HTTP_X_CSRFTOKEN="b" * 32)
        forged = ask(client, case, chat.pk, message)
        client.credentials(HTTP_X_CSRFTOKEN="a" * 32)
        shown = ask(client, case, chat.pk, message)

        if case[0] == "get":
            assert bare.status_code == forged.status_code == shown.status_code
            assert shown.status_code in (200, 404)
        else:
            assert bare.status_code == forged.status_code == 403
            assert bare.json()["error"] == "permission_error"
            assert shown.status_code not in (401, 403)
