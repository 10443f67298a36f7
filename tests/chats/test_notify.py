"""The bell, with the Redis that processes share."""

from __future__ import annotations

import threading

import pytest
from django.test import Client

from alchemyst.accounts.models import User
from chats.models import Chat
from personas.models import Persona


@pytest.mark.parametrize("question", ["one", "two", "three"])
def test_a_loop_that_ends_while_it_begins_to_hear_waits_for_nothing(
    alices: Client, alice: User, maya: Persona, transactional_db: None, question: str
):
    """Without a server each request has a loop of its own, which ends with its view."""
    chat = Chat.objects.create(owner=alice, title="Tea")
    asked = {"path": f"/chat/{chat.pk}", "data": {"content": question}}
    thread = threading.Thread(target=alices.post, kwargs=asked, daemon=True)

    thread.start()
    thread.join(10)

    assert not thread.is_alive()
    assert chat.messages.filter(content=question).exists()
