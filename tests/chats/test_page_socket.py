"""The WebSocket of a chat's page: what it tells when it opens, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alchemyst.accounts.models import User
from chats.models import Chat, Generation
from chats.pages.fingerprint import fingerprint_of
from tests.chats.answers import Api
from tests.chats.conftest import MISSING
from tests.chats.test_socket import Open, open_socket, signed_in  # noqa: F401


def visitor(user: User, server: str) -> dict[str, Any]:
    """What a page of this site sends along."""
    return {"additional_headers": {"Cookie": signed_in(user)}, "origin": server}


@pytest.fixture
def open_page(open_socket: Open, server: str) -> Open:  # noqa: F811
    def opened(user: User, chat_id: Any, query: str = "") -> Any:
        return open_socket(f"{chat_id}/page", query=query, **visitor(user, server))

    return opened


def shown(chat: Chat) -> str:
    """The query of a page that shows the chat as it is now."""
    return f"?look={fingerprint_of(Chat.objects.get(pk=chat.pk)).etag}"


def test_a_page_that_shows_an_answer_under_way_that_has_ended_is_told(
    open_page: Open, alice: User, chat: Chat, answering: Callable[[], Generation]
):
    generation = answering()
    before = shown(chat)
    Generation.objects.filter(pk=generation.pk).update(state="complete")

    with open_page(alice, chat.pk, before) as socket:
        assert socket.read() == {"op": "changed"}


def test_a_page_that_does_not_know_of_an_answer_is_told(
    open_page: Open, alice: User, chat: Chat, answering: Callable[[], Generation]
):
    before = shown(chat)
    answering()

    with open_page(alice, chat.pk, before) as socket:
        assert socket.read() == {"op": "changed"}


def test_a_page_that_shows_what_is_there_is_told_of_the_next_change_alone(
    open_page: Open, alice: User, chat: Chat, api: Api
):
    with open_page(alice, chat.pk, shown(chat)) as socket:
        with pytest.raises(TimeoutError):
            socket.connection.recv(timeout=1)
        api.http.patch(f"{api.url}/{chat.pk}", json={"title": "Another"}).raise_for_status()

        assert socket.read() == {"op": "changed"}


@pytest.mark.parametrize("whose", ["bob's", "nobody's"])
def test_a_chat_of_somebody_else_is_not_there(open_page: Open, bob: User, chat: Chat, whose: str):
    with open_page(bob, chat.pk if whose == "bob's" else MISSING) as socket:
        assert socket.closed() == 4404


def test_without_a_session_it_ends(open_socket: Open, server: str, chat: Chat):  # noqa: F811
    with open_socket(f"{chat.pk}/page", origin=server) as socket:
        assert socket.closed() == 4401
