"""Nobody asks in a chat, reads an answer or stops it but the chat's owner."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from django.test import Client

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat, Generation
from personas.models import Persona
from tests.chats.answers import Api, asking, persona
from tests.chats.conftest import MISSING, TEA, texts
from tests.fakes import FakeProvider

# Method, path and body of what names a chat or an answer.
NAMING: list[tuple[str, str, Any]] = [
    ("post", "/generate?chatId={chat}", asking()),
    ("post", "/generate/stream?chatId={chat}", asking()),
    ("post", "/{chat}/regenerate", {}),
    ("post", "/{chat}/regenerate", {"messageId": "{message}", "content": "Mine."}),
    ("post", "/{chat}/continue", {}),
    ("get", "/replay/{session}", None),
    ("post", "/replay/{session}/stop", None),
]
OTHERS: list[tuple[str, str, Any]] = [
    ("post", "", asking()),
    ("post", "/generate", asking()),
    ("post", "/generate/stream", asking()),
]
NONSENSE = "not-an-id"


def named(case: tuple[str, str, Any]) -> str:
    return f"{case[0]} {case[1]}"


@pytest.fixture
def asked(api: Api, maya: Persona, chat: Chat) -> dict[str, str]:
    """An answer in Alice's chat, and what one would name to reach it."""
    asked = api.generate(asking("And milk?"), params={"chatId": str(chat.pk)})
    assert asked.status_code == 201, asked.text
    answer = asked.json()
    return {
        "chat": answer["chatId"],
        "session": answer["replaySessionID"],
        "message": answer["questionId"],
    }


def ask(
    session: requests.Session, server: str, case: tuple[str, str, Any], ids: dict[str, str]
) -> requests.Response:
    method, path, body = case
    if body:
        named = {f"{{{name}}}": id for name, id in ids.items()}
        body = {name: named.get(str(value), value) for name, value in body.items()}
    url = f"{server}/api/v1/chat{path.format(**ids)}"
    return session.request(method, url, json=body, timeout=20)


@pytest.mark.parametrize("case", NAMING, ids=named)
class TestSomebodyElse:
    @pytest.mark.parametrize("is_staff", [False, True])
    def test_is_told_the_same_as_for_what_never_was(
        self,
        server: str,
        bobs_api: Api,
        bob: User,
        asked: dict[str, str],
        case: Any,
        is_staff: bool,
    ):
        bob.is_staff = bob.is_superuser = is_staff
        bob.save()
        nothing = asked | {"chat": MISSING, "session": MISSING}
        nonsense = asked | {"chat": NONSENSE, "session": NONSENSE}

        foreign, missing, odd = (
            ask(bobs_api.http, server, case, ids) for ids in (asked, nothing, nonsense)
        )

        assert foreign.status_code == missing.status_code == odd.status_code == 404
        assert foreign.content == missing.content == odd.content
        assert len(texts(Chat.objects.get())) == len(TEA) + 2
        assert Generation.objects.count() == 1


@pytest.mark.parametrize("case", NAMING + OTHERS, ids=named)
class TestACallerWithout:
    @pytest.mark.parametrize("shown", ["", "Bearer garbage", "Basic YTpi"])
    def test_a_token_is_refused(self, server: str, asked: dict[str, str], case: Any, shown: str):
        with requests.Session() as session:
            session.headers.update({"Authorization": shown} if shown else {})
            answer = ask(session, server, case, asked)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json().keys() == {"message", "error"}

    def test_an_account_that_is_on_is_refused(
        self, server: str, http: requests.Session, asked: dict[str, str], alice: User, case: Any
    ):
        alice.is_active = False
        alice.save()

        assert ask(http, server, case, asked).status_code == 401

    def test_the_scope_is_refused(self, server: str, asked: dict[str, str], alice: User, case: Any):
        _, key = ApiKey.make(alice, name="proxy", scopes=["proxy"])
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {key}"
            answer = ask(session, server, case, asked)

        assert answer.status_code == 403
        assert answer.json()["error"] == "permission_error"


@pytest.mark.parametrize("case", NAMING + OTHERS, ids=named)
class TestAPagesSession:
    def test_may_read_and_shows_the_csrf_token_for_more(
        self, server: str, asked: dict[str, str], alice: User, case: Any
    ):
        client = Client()
        client.force_login(alice)
        with requests.Session() as session:
            session.cookies.set("sessionid", client.cookies["sessionid"].value)
            bare = ask(session, server, case, asked)
            session.cookies.set("csrftoken", "a" * 32)
            session.headers["X-CSRFToken"] = "b" * 32
            forged = ask(session, server, case, asked)
            session.headers["X-CSRFToken"] = "a" * 32
            shown = ask(session, server, case, asked)

        is_read = case[0] == "get"
        assert bare.status_code == forged.status_code == (200 if is_read else 403)
        assert shown.status_code in (200, 201, 409)

    def test_that_has_ended_is_none(
        self, server: str, asked: dict[str, str], alice: User, case: Any
    ):
        client = Client()
        client.force_login(alice)
        alice.set_password("another-correct-horse")
        alice.save()
        with requests.Session() as session:
            session.cookies.set("sessionid", client.cookies["sessionid"].value)
            answer = ask(session, server, case, asked)

        assert answer.status_code == 401


class TestScopes:
    def key(self, owner: User, *scopes: str) -> requests.Session:
        _, key = ApiKey.make(owner, name="key", scopes=scopes)
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        return session

    @pytest.mark.parametrize("path", ["", "/generate", "/generate/stream"])
    def test_a_key_asks_in_the_scopes_that_it_has(
        self, server: str, alice: User, maya: Persona, path: str
    ):
        with self.key(alice, "chat", "external") as session:
            url = f"{server}/api/v1/chat{path}"
            inside = session.post(url, json=asking())
            outside = session.post(url, json=asking(scope="external"))

        assert inside.status_code == 403
        assert outside.status_code in (200, 201)

    @pytest.mark.parametrize("path", ["", "/generate", "/generate/stream"])
    def test_a_persona_answers_in_the_scopes_that_it_has(
        self, api: Api, alice: User, provider: FakeProvider, path: str
    ):
        persona(alice, provider, scopes=["internal"])

        assert api.post(path, asking(scope="external")).status_code == 403
        assert not Chat.objects.exists()


class TestAPersona:
    @pytest.mark.parametrize("path", ["", "/generate", "/generate/stream"])
    def test_that_nobody_knows_is_refused_with_those_that_are(
        self, api: Api, maya: Persona, path: str
    ):
        answer = api.post(path, asking(persona="nobody"))

        assert answer.status_code == 400
        assert answer.json()["details"] == {"known": ["maya"]}
        assert not Chat.objects.exists()

    def test_of_somebody_elses_is_not_known(
        self, bobs_api: Api, alice: User, provider: FakeProvider
    ):
        mine = persona(alice, provider, slug="mine")
        mine.is_shared = False
        mine.save()

        assert bobs_api.post("", asking(persona="mine")).status_code == 400

    def test_that_changes_does_not_change_under_a_chat(
        self, api: Api, maya: Persona, provider: FakeProvider
    ):
        chat_id = api.generate().json()["chatId"]
        maya.revise(system_prompt="You knit.")

        api.generate(asking("And now?"), params={"chatId": chat_id})

        assert provider.received
        assert b"You knit." not in b"".join(each.body for each in provider.received)

    def test_that_is_named_takes_the_chat_over(
        self, api: Api, maya: Persona, alice: User, provider: FakeProvider
    ):
        chat_id = api.generate().json()["chatId"]
        persona(alice, provider, slug="otto", system_prompt="You sail.")

        answer = api.generate(asking("And now?", persona="otto"), params={"chatId": chat_id})

        assert answer.json()["result"]["persona"] == "otto"
        chat = Chat.objects.select_related("persona_version__persona").get()
        assert chat.persona_version.persona.slug == "otto"


def test_a_token_that_is_revoked_ends_no_answer_that_was_asked_for(
    api: Api, alice: User, provider: FakeProvider
):
    persona(alice, provider, "half-second")
    with api.stream() as response:
        session = response.headers["x-alchemyst-replay-session-id"]
    alice.set_password("another-correct-horse")
    alice.save()

    api.http.headers["Authorization"] = f"Bearer {issue(alice).access}"
    assert api.replay(session)[-2].data["content"]["state"] == "complete"
