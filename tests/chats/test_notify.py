"""Notifications: who is woken, in one process and with the Redis that processes share."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from alchemyst.accounts.models import User
from chats.eventlog import notify
from chats.models import Chat
from personas.models import Persona


@pytest.mark.parametrize("question", ["one", "two", "three"])
def test_a_loop_that_ends_while_it_begins_to_hear_waits_for_nothing_and_leaves_nothing(
    alices: Client,
    alice: User,
    maya: Persona,
    transactional_db: None,
    caplog: pytest.LogCaptureFixture,
    question: str,
):
    """Without a server each request has a loop of its own, which ends with its view."""
    chat = Chat.objects.create(owner=alice, title="Tea")

    def ask() -> None:
        alices.post(f"/chat/{chat.pk}", {"content": question})
        connections.close_all()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(10)

    assert not thread.is_alive()
    assert chat.messages.filter(content=question).exists()
    # A task that its loop did not wait for is told when it is collected.
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "", {"title": "Coffee"}),
        ("patch", "", {"archived": True}),
        ("patch", "", {"relevance": "lax"}),
        ("put", "/pin", {"pinned": True}),
        ("delete", "", None),
    ],
)
async def test_a_change_by_its_owner_wakes_who_shows_the_chat(
    as_alice: APIClient, alice: User, transactional_db: None, method: str, path: str, body: Any
):
    chat = await Chat.objects.acreate(owner=alice, title="Tea")

    def change() -> None:
        url = f"/api/v1/chat/{chat.pk}{path}"
        assert getattr(as_alice, method)(url, body, format="json").status_code < 300
        connections.close_all()

    with notify.subscribed(str(chat.pk)) as subscription:
        await asyncio.to_thread(change)

        assert await subscription.wait(5)
    await notify.close()
