"""What the tests of the chats share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.utils import timezone

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import User
from chats.models import Chat, Generation, Message
from personas.models import Persona
from tests.chats.answers import Api, persona
from tests.fakes import FakeProvider

MISSING = "00000000-0000-7000-8000-000000000000"
TEA = ("Which tea?", "Oolong.", "How hot?", "Ninety degrees.")


def talk(owner: User, *texts: str, title: str = "", **fields: Any) -> Chat:
    """A chat in which user and assistant said `texts` in turn."""
    chat = Chat.objects.create(owner=owner, title=title, **fields)
    chat.bulk_append(
        Message(role=("user", "assistant")[place % 2], content=text)
        for place, text in enumerate(texts)
    )
    return chat


def texts(chat: Chat) -> list[str]:
    """What is said on the shown branch, read afresh."""
    fresh = Chat.objects.get(pk=chat.pk)
    return [message.content for message in fresh.messages_on()]


@pytest.fixture
def chat(alice: User) -> Chat:
    """Alice's chat of two exchanges."""
    return talk(alice, *TEA, title="Tea")


@pytest.fixture
def answering(chat: Chat) -> Callable[[], Generation]:
    """Makes an answer be written in Alice's chat."""

    def begin() -> Generation:
        chat.append("user", "And then?")
        return Generation.objects.create(
            owner_id=chat.owner_id,
            chat=chat,
            message=chat.append("assistant", ""),
            state=Generation.State.STREAMING,
            lease_until=timezone.now() + timedelta(minutes=1),
        )

    return begin


@pytest.fixture
def maya(alice: User, provider: FakeProvider) -> Persona:
    """The default persona, on the tests' provider."""
    return persona(alice, provider)


@pytest.fixture
def api(http: requests.Session, server: str) -> Api:
    """Alice's client of the chat API, on a real server."""
    return Api(http, server)


@pytest.fixture
def bobs_api(bob: User, server: str) -> Iterator[Api]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {issue(bob).access}"
        yield Api(session, server)
