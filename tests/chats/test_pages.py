"""The pages of the chats, as they come from the server."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from alchemyst.accounts.models import User
from chats.models import Chat, Message
from personas.models import Persona
from tests.chats.conftest import texts
from tests.chats.test_socket import signed_in

CSRF = "a" * 32
MISSING = "00000000-0000-7000-8000-000000000000"
FORMS = (
    "stop",
    "rename",
    "pin",
    "archive",
    "relevance",
    "fork",
    "delete",
    "restore",
    "share",
    "fate",
)

pytestmark = pytest.mark.usefixtures("shipped")


@pytest.fixture
def long_chat(alice: User) -> Chat:
    """A chat of 2,000 messages among 5,000."""
    Chat.objects.bulk_create(Chat(owner=alice, title=f"Chat number {n}") for n in range(5_000))
    version = Persona.objects.get(slug="maya").current
    chat = Chat.objects.create(owner=alice, title="Long", persona_version=version)
    text = "Some **words** about the matter, with `code` and a list:\n\n- one\n- two\n" * 4
    chat.bulk_append(
        Message(
            role=("user", "assistant")[n % 2],
            content=f"{n} {text}",
            persona_version=version if n % 2 else None,
        )
        for n in range(2_000)
    )
    return chat


def without_tokens(response: HttpResponse) -> str:
    """A page without what differs each time that it is shown."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())


def test_the_first_page_is_small_however_much_there_is(alices: Client, long_chat: Chat):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = alices.get(f"/chat/{long_chat.pk}")

    assert response.status_code == 200
    assert len(queries) <= 12
    assert len(response.content) <= 150_000


@pytest.mark.parametrize("form", FORMS)
def test_a_form_on_a_strangers_chat_finds_nothing(alices: Client, bob: User, form: str):
    theirs = Chat.objects.create(owner=bob, title="Bob's")
    theirs.append("user", "secret")

    of_bob = alices.post(f"/chat/{theirs.pk}/{form}")
    of_nobody = alices.post(f"/chat/{MISSING}/{form}")

    assert of_bob.status_code == of_nobody.status_code == 404
    assert without_tokens(of_bob) == without_tokens(of_nobody)


@pytest.mark.parametrize("path", ["/chat", "/chats", "/search", "/trash", "/shared", "/personas"])
def test_a_stranger_is_asked_to_sign_in(db: None, path: str):
    response = Client().get(path)

    assert response.status_code == 302
    assert response["Location"].startswith("/signin?next=")


def test_a_form_without_its_token_is_refused(alice: User):
    chat = Chat.objects.create(owner=alice)
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    response = client.post(f"/chat/{chat.pk}/delete")

    assert response.status_code == 403
    assert Chat.objects.of(alice).exists()


def test_an_empty_question_is_told_and_makes_no_chat(alices: Client):
    response = alices.post("/chat", {"content": "  ", "persona": "maya"})

    assert response.status_code == 400
    assert b"Write a question" in response.content
    assert not Chat.objects.exists()


@pytest.mark.parametrize("content", ["", "x" * 100_001])
def test_a_question_is_edited_whole_or_not_at_all(alices: Client, alice: User, content: str):
    chat = Chat.objects.create(owner=alice)
    question = chat.append("user", "Which tea?")

    response = alices.post(f"/chat/{chat.pk}/edit/{question.pk}", {"content": content})

    assert response.status_code == 400
    assert b"at most 100,000 characters" in response.content
    assert texts(chat) == ["Which tea?"]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%00", "W10="])
def test_a_cursor_that_is_none_is_a_bad_request(alices: Client, cursor: str):
    assert alices.get(f"/chats/more?cursor={cursor}").status_code == 400


def test_a_share_that_staff_closed_shows_nothing(alices: Client, alice: User, settings: Any):
    chat = Chat.objects.create(owner=alice, title="Tea")
    chat.append("user", "Which tea?")
    alices.post(f"/chat/{chat.pk}/share")
    share = chat.shares.get()
    assert Client().get(f"/s/{share.token}").status_code == 200

    chat.shares.update(is_blocked=True)

    assert Client().get(f"/s/{share.token}").status_code == 404


def test_sharing_can_be_switched_off(alices: Client, alice: User, settings: Any):
    chat = Chat.objects.create(owner=alice, title="Tea")
    chat.append("user", "Which tea?")
    alices.post(f"/chat/{chat.pk}/share")

    settings.CHAT_SHARING = False

    assert Client().get(f"/s/{chat.shares.get().token}").status_code == 404
    assert alices.post(f"/chat/{chat.pk}/share").status_code == 403


def test_questions_are_limited_as_the_apis_are(alices: Client, settings: Any):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"chat": (1, 60)}
    alices.post("/chat", {"content": " "})

    as_a_page = alices.post("/chat", {"content": " "})
    as_a_script = alices.post("/chat", {"content": " "}, headers={"X-Fragment": "1"})

    assert as_a_page.status_code == as_a_script.status_code == 429
    assert int(as_a_page["Retry-After"]) >= 1
    assert as_a_script.json()["error"] == "rate_limit_error"
    assert alices.get("/chat").status_code == 200


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("{chat}", {"content": "a", "persona": "nobody\0"}),
        ("{chat}/rename", {"title": "a\0b"}),
        ("{chat}/fork", {"message": "no-id"}),
        ("{chat}/fate", {"pin": "0", "generation": "no-id"}),
        ("{chat}/fate", {}),
        ("{chat}/relevance", {"relevance": "sloppy"}),
        ("{chat}/share", {"life": "for ever"}),
        ("{chat}/again/{missing}", {}),
        ("{chat}/edit/{missing}", {"content": "a\0b"}),
        ("{chat}/continue/{missing}", {}),
        ("{chat}/show/{missing}", {}),
    ],
)
def test_an_unsound_form_is_no_fault_of_ours(
    alices: Client, alice: User, path: str, fields: dict[str, str]
):
    chat = Chat.objects.create(owner=alice, title="Tea")
    chat.append("user", "Which tea?")

    response = alices.post("/chat/" + path.format(chat=chat.pk, missing=MISSING), fields)

    assert response.status_code in (302, 400, 404)


@pytest.mark.parametrize(
    "fields", [{"content": "a\0b"}, {"content": "ab", "client_id": "x\0y"}], ids=["text", "id"]
)
def test_a_question_is_asked_without_what_no_database_takes(
    alice: User, server: str, maya: Persona, fields: dict[str, str]
):
    chat = Chat.objects.create(owner=alice, title="Tea")
    with requests.Session() as visitor:
        visitor.trust_env = False
        visitor.headers["Cookie"] = f"{signed_in(alice)}; csrftoken={CSRF}"
        fields = fields | {"csrfmiddlewaretoken": CSRF}
        response = visitor.post(f"{server}/chat/{chat.pk}", data=fields, timeout=40)

    assert response.status_code == 200
    assert texts(chat)[0] == "ab"


@pytest.mark.parametrize(
    "query",
    ["search?q=%00", "search?q=a%00b", "chats?cursor=%00", "chat?persona=%00", "chat?q=%00"],
)
def test_an_unsound_query_is_no_fault_of_ours(alices: Client, query: str):
    assert alices.get(f"/{query}").status_code in (200, 400)


def test_earlier_messages_than_there_are_is_no_fault_of_ours(alices: Client, alice: User):
    chat = Chat.objects.create(owner=alice, title="Tea")

    for before in ("9" * 30, "-1", "x", "0"):
        assert alices.get(f"/chat/{chat.pk}/thread?before={before}").status_code == 200
        assert alices.get(f"/chat/{chat.pk}?before={before}&given=x").status_code == 200
