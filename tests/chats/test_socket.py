"""The WebSocket of a chat: who may open it, what it shows, what can be done on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth import get_user_model
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat, Generation
from personas.models import Persona
from tests.chats.answers import Api, asking, persona, questions
from tests.chats.conftest import MISSING, texts
from tests.fakes import ANSWER, FakeProvider

Open = Callable[..., Any]


class Socket:
    """A client of the socket that reads JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, **said: Any) -> None:
        self.connection.send(json.dumps(said))

    def read(self) -> dict[str, Any]:
        return json.loads(self.connection.recv(timeout=10))

    def until(self, kind: str) -> list[dict[str, Any]]:
        """What comes up to and including the first of that type."""
        found = [self.read()]
        while found[-1]["type"] != kind:
            found.append(self.read())
        return found

    def closed(self) -> int:
        """The code with which the server closes."""
        with suppress(ConnectionClosed):
            while True:
                self.connection.recv(timeout=20)
        code = self.connection.close_code
        assert code is not None
        return code


@pytest.fixture
def open_socket(server: str) -> Open:
    @contextmanager
    def opened(chat_id: Any, token: str = "", query: str = "", **options: Any) -> Iterator[Socket]:
        url = f"{server.replace('http', 'ws')}/ws/chat/{chat_id}{query}"
        if token:
            options["subprotocols"] = ["alchemyst", f"bearer.{token}"]
        with connect(url, proxy=None, **options) as connection:
            yield Socket(connection)

    return opened


def signed_in(user: User) -> str:
    """The cookie header of a page's visitor."""
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


class TestWhoMayOpenIt:
    def test_its_owner_by_a_token_in_the_first_message(self, open_socket: Open, chat, token: str):
        with open_socket(chat.pk) as socket:
            socket.send(type="auth", token=token)

            assert socket.read() == {"type": "ready", "chatId": str(chat.pk), "running": None}

    def test_its_owner_by_a_token_in_the_subprotocol(self, open_socket: Open, chat, token: str):
        with open_socket(chat.pk, token) as socket:
            assert socket.read()["type"] == "ready"
            assert socket.connection.subprotocol == "alchemyst"

    def test_its_owner_by_the_session_of_our_own_page(self, open_socket: Open, chat, server: str):
        cookie = {"Cookie": signed_in(chat.owner)}

        with open_socket(chat.pk, origin=server, additional_headers=cookie) as socket:
            assert socket.read()["type"] == "ready"

    def test_nobody_from_another_sites_page(self, open_socket: Open, chat):
        cookie = {"Cookie": signed_in(chat.owner)}

        for origin in ("https://evil.example", "null"):
            with (
                pytest.raises(InvalidStatus),
                open_socket(chat.pk, origin=origin, additional_headers=cookie),
            ):
                pass

    def test_no_session_without_an_origin(self, open_socket: Open, chat):
        cookie = {"Cookie": signed_in(chat.owner)}

        with open_socket(chat.pk, additional_headers=cookie) as socket:
            socket.send(type="ping")

            assert socket.closed() == 4401

    @pytest.mark.parametrize("said", [{"type": "ping"}, {"type": "auth", "token": "garbage"}])
    def test_nobody_without_a_token(self, open_socket: Open, chat, said: dict[str, Any]):
        with open_socket(chat.pk) as socket:
            socket.send(**said)

            assert socket.closed() == 4401

    def test_nobody_who_says_nothing(
        self, open_socket: Open, chat, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("chats.streaming.chat_socket.AUTH_TIMEOUT_SECONDS", 0.1)

        with open_socket(chat.pk) as socket:
            assert socket.closed() == 4401

    def test_no_key_without_the_scope(self, open_socket: Open, chat):
        _, key = ApiKey.make(chat.owner, name="proxy", scopes=["proxy"])

        with open_socket(chat.pk, key) as socket:
            assert socket.closed() == 4401

    @pytest.mark.parametrize("is_staff", [False, True])
    def test_no_stranger_and_the_same_for_a_chat_that_never_was(
        self, open_socket: Open, chat, bob: User, is_staff: bool
    ):
        get_user_model().objects.filter(pk=bob.pk).update(is_staff=is_staff)
        token = issue(bob).access

        codes = []
        for id in (chat.pk, MISSING, "nonsense"):
            with open_socket(id, token) as socket:
                codes.append(socket.closed())

        assert codes == [4404] * 3

    def test_nobody_at_another_path(self, server: str):
        with (
            pytest.raises(InvalidStatus),
            connect(f"{server.replace('http', 'ws')}/ws/nothing", proxy=None),
        ):
            pass


class TestWhileItIsOpen:
    def test_an_account_that_is_switched_off_ends_it_at_the_next_action(
        self, open_socket: Open, chat, token: str, alice: User
    ):
        with open_socket(chat.pk, token) as socket:
            socket.read()
            alice.is_active = False
            alice.save()
            socket.send(type="ping")

            assert socket.closed() == 4401

    def test_an_account_that_is_switched_off_ends_it_without_any_action(
        self, open_socket: Open, chat, token: str, alice: User, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("chats.streaming.chat_socket.CHECK_SECONDS", 0.2)

        with open_socket(chat.pk, token) as socket:
            socket.read()
            alice.is_active = False
            alice.save()

            assert socket.closed() == 4401

    def test_a_chat_that_is_deleted_ends_it(self, open_socket: Open, chat, token: str, as_alice):
        with open_socket(chat.pk, token) as socket:
            socket.read()
            as_alice.delete(f"/api/v1/chat/{chat.pk}")

            assert socket.closed() == 4404


class TestWhatItShows:
    def test_a_question_asked_on_it_and_its_answer(
        self, open_socket: Open, chat, token: str, maya: Persona
    ):
        with open_socket(chat.pk, token) as socket:
            socket.read()
            socket.send(type="ask", content="And milk?", id="m-1")
            found = socket.until("done")

        messages = [each["message"] for each in found if each["type"] == "message"]
        assert [(m["role"], m["content"]) for m in messages] == [
            ("user", "And milk?"),
            ("assistant", ""),
        ]
        said = [each["content"] for each in found if each["type"] == "response_delta"]
        assert "".join(said) == ANSWER
        assert texts(chat)[-2:] == ["And milk?", ANSWER]

    def test_what_is_asked_elsewhere(
        self, open_socket: Open, chat, token: str, maya: Persona, api: Api
    ):
        with open_socket(chat.pk, token) as socket:
            socket.read()
            answer = api.generate(asking("And milk?"), params={"chatId": str(chat.pk)}).json()
            found = socket.until("done")

        assert found[-1]["replaySessionID"] == answer["replaySessionID"]
        (final,) = [each for each in found if each["type"] == "final_response"]
        assert final["content"] == ANSWER

    def test_an_answer_from_any_event(
        self, open_socket: Open, chat, token: str, maya: Persona, api: Api
    ):
        answer = api.generate(asking("And milk?"), params={"chatId": str(chat.pk)}).json()
        session = answer["replaySessionID"]
        whole = api.replay(session)

        query = f"?replaySessionID={session}&after=2"
        with open_socket(chat.pk, token, query) as socket:
            found = socket.until("done")[1:]
            socket.send(type="follow", replaySessionID=session, after=len(whole) - 1)
            again = socket.until("done")

        assert [each["id"] for each in found] == [event.id for event in whole[2:]]
        assert [each["id"] for each in again] == [whole[-1].id]

    def test_another_chats_answer_is_not_there(
        self, open_socket: Open, chat, token: str, maya: Persona, api: Api
    ):
        other = api.generate().json()["replaySessionID"]

        with open_socket(chat.pk, token) as socket:
            socket.read()
            for session in (other, MISSING, "x"):
                socket.send(type="follow", replaySessionID=session)
                assert socket.read()["error"]["code"] == "not_found"

    def test_the_running_answer_and_its_stop(
        self, open_socket: Open, token: str, alice: User, provider: FakeProvider, chat: Chat
    ):
        persona(alice, provider, "slow")
        with open_socket(chat.pk, token) as first:
            first.read()
            first.send(type="ask", content="Count.")
            first.until("response_delta")
            with open_socket(chat.pk, token) as second:
                assert second.read()["running"]
                second.until("response_delta")
                second.send(type="stop")
                second.until("done")
            found = first.until("done")

        (metadata,) = [each["content"] for each in found if each["type"] == "metadata"]
        assert metadata["state"] == "stopped"
        assert Generation.objects.get().state == Generation.State.STOPPED
        assert questions(provider)[-1].is_closed.wait(2)


class TestBadInput:
    @pytest.mark.parametrize(
        "said",
        [
            "no json",
            "[]",
            "[" * 5000,
            '{"type": "dance"}',
            '{"type": ["ask"]}',
            '{"type": "ask"}',
            '{"type": "ask", "content": 7}',
            '{"type": "ask", "content": "x", "unknown": 1}',
            '{"type": "ask", "content": "x", "persona": "nobody"}',
            '{"type": "ask", "content": "\\u0000"}',
            '{"type": "follow", "after": "x"}',
            '{"type": "regenerate", "messageId": "x"}',
            '{"type": "continue"}',
        ],
    )
    def test_is_told_as_an_error_and_the_socket_lives_on(
        self, open_socket: Open, chat, token: str, maya: Persona, said: str
    ):
        with open_socket(chat.pk, token) as socket:
            socket.read()
            socket.connection.send(said)
            told = socket.read()
            socket.send(type="ping")

            assert told["type"] == "error"
            assert {"message", "type", "code"} <= told["error"].keys()
            assert socket.read() == {"type": "pong"}

    def test_of_more_than_the_limit_ends_it(
        self, open_socket: Open, chat, token: str, settings: LazySettings
    ):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

        with open_socket(chat.pk, token) as socket:
            socket.read()
            socket.send(type="ask", content="x" * 2000)

            assert socket.closed() == 1009
