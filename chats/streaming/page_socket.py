"""Sends the open page of a chat what happens in it: a change, and an answer as it is written.

Words come as HTML: a block of the answer once it is final, and the tail that still grows. Nothing
is kept here; whoever connects again gets the answer from its beginning.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from rest_framework.exceptions import APIException

from chats.answers import finish
from chats.eventlog import log, notify
from chats.eventlog.event import LogEvent
from chats.models import Chat, Event
from chats.pages.fingerprint import ChatFingerprint, fingerprint_of
from chats.rendering import blocks_of, sketched
from chats.streaming.chat_socket import CHECK_SECONDS, INTERNAL, NOT_AUTHENTICATED, NOT_FOUND
from proxy.common.access import Identity
from proxy.common.runtime.threads import on_database_thread

# How long drawing rests, by how long it took: others want the processor too.
REST = 3

logger = logging.getLogger(__name__)


class PageConsumer(AsyncWebsocketConsumer):
    """One open page of a chat, for its owner's session."""

    channel_layer_alias = ""

    async def connect(self) -> None:
        self.chat_id: UUID = self.scope["url_route"]["kwargs"]["chat_id"]
        self.identity: Identity = self.scope["identity"]
        await self.accept()
        self.watching = asyncio.create_task(self._watch_or_close())

    async def disconnect(self, code: int) -> None:
        await _ended(self.watching)

    async def _watch_or_close(self) -> None:
        try:
            await self._watch()
        except APIException:
            await self.close(NOT_AUTHENTICATED)
        except OSError:
            # The client has disconnected.
            return
        except Exception:
            logger.exception("The socket of a chat's page failed")
            await self.close(INTERNAL)

    async def _watch(self) -> None:
        """Send changes for as long as the page is open and its session lasts."""
        if not self.identity.may_have_session:
            return await self.close(NOT_AUTHENTICATED)
        sending: asyncio.Task[None] | None = None
        previous: ChatFingerprint | None = None
        with notify.subscribed(str(self.chat_id)) as subscription:
            try:
                while True:
                    access = await self.identity.again()
                    fingerprint = await _fingerprint(access.user.pk, self.chat_id)
                    if fingerprint is None:
                        return await self.close(NOT_FOUND)
                    if (
                        fingerprint != previous
                        if previous
                        else fingerprint.etag != self.shown_etag()
                    ):
                        await self.push(op="changed")
                    if fingerprint.running and (
                        previous is None or fingerprint.running != previous.running
                    ):
                        await _ended(sending)
                        sending = asyncio.create_task(self._send_answer(*fingerprint.running))
                    previous = fingerprint
                    await subscription.wait(notify.poll_interval(CHECK_SECONDS))
            finally:
                await _ended(sending)

    def shown_etag(self) -> str:
        """Return the fingerprint of what the page shows as it connects."""
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        return query.get("look", [""])[-1]

    async def _send_answer(self, generation_id: UUID, message_id: UUID) -> None:
        """Send an answer from its beginning, then that it has ended."""
        message = str(message_id)
        text, final = "", 0
        with suppress(log.LogUnavailable, OSError):
            async with aclosing(log.follow(generation_id, on_abandoned=finish.expire)) as batches:
                async for events in batches:
                    for step in _steps_in(events):
                        await self.push(op="step", message=message, text=step)
                    new_text = _text_in(events)
                    if not new_text:
                        continue
                    text += new_text
                    began = time.perf_counter()
                    blocks, tail = await asyncio.to_thread(_drawn, text, final)
                    if blocks:
                        html, end = blocks
                        await self.push(op="blocks", message=message, html=html, at=final, to=end)
                        final = end
                    await self.push(op="tail", message=message, html=tail)
                    # A tail that takes long to draw, such as a giant table, is drawn less often.
                    await asyncio.sleep(REST * (time.perf_counter() - began))
            await self.push(op="changed")

    async def push(self, **message: Any) -> None:
        await self.send(text_data=json.dumps(message))


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        # Not awaited itself: a cancellation of ours would pass for the end of its own.
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def _steps_in(events: list[LogEvent]) -> list[str]:
    """Return the answer's steps, without a model's own reasoning."""
    return [
        event.content
        for event in events
        if event.type == Event.Type.THINKING and (event.data or {}).get("step") != "reasoning"
    ]


def _text_in(events: list[LogEvent]) -> str:
    return "".join(event.content for event in events if event.type == Event.Type.DELTA)


def _drawn(text: str, final: int) -> tuple[tuple[str, int] | None, str]:
    """Return the HTML of the blocks after `final` and where they end, and that of the tail."""
    blocks, tail = blocks_of(text, final)
    rendered = ("".join(block.html for block in blocks), blocks[-1].end) if blocks else None
    return rendered, sketched(tail)


@on_database_thread
def _fingerprint(user_id: int, chat_id: UUID) -> ChatFingerprint | None:
    """Return how a chat is now; None if its user has no such chat."""
    chat = Chat.objects.of(user_id).filter(pk=chat_id).first()
    return fingerprint_of(chat) if chat else None
