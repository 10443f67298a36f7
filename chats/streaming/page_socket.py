"""Tells the open page of a chat what happens in it: a change, and an answer as it is written.

Words come as HTML: a block of the answer once it is final, and the tail that still grows. Nothing
is kept here; whoever connects again is told the answer from its beginning.
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
            # Who has left can be told nothing more.
            return
        except Exception:
            logger.exception("The page of a chat is no longer told what happens")
            await self.close(INTERNAL)

    async def _watch(self) -> None:
        """Tell of changes for as long as the page is open and its session lasts."""
        if not self.identity.may_have_session:
            return await self.close(NOT_AUTHENTICATED)
        telling: asyncio.Task[None] | None = None
        known: ChatFingerprint | None = None
        with notify.subscribed(str(self.chat_id)) as listener:
            try:
                while True:
                    access = await self.identity.again()
                    look = await _fingerprint(access.user.pk, self.chat_id)
                    if look is None:
                        return await self.close(NOT_FOUND)
                    if look != known if known else look.etag != self.shown():
                        await self.push(op="changed")
                    if look.running and (known is None or look.running != known.running):
                        await _ended(telling)
                        telling = asyncio.create_task(self._send_answer(*look.running))
                    known = look
                    await listener.wait(notify.poll_interval(CHECK_SECONDS))
            finally:
                await _ended(telling)

    def shown(self) -> str:
        """Return the mark of what the page shows as it connects."""
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        return query.get("look", [""])[-1]

    async def _send_answer(self, generation_id: UUID, message_id: UUID) -> None:
        """Tell an answer from its beginning, then that it has ended."""
        message = str(message_id)
        text, final = "", 0
        with suppress(log.LogUnavailable, OSError):
            async with aclosing(log.follow(generation_id, on_abandoned=finish.expire)) as followed:
                async for entries in followed:
                    for step in _steps_in(entries):
                        await self.push(op="step", message=message, text=step)
                    news = _text_in(entries)
                    if not news:
                        continue
                    text += news
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

    async def push(self, **said: Any) -> None:
        await self.send(text_data=json.dumps(said))


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        # Not awaited itself: a cancellation of ours would pass for the end of its own.
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def _steps_in(entries: list[LogEvent]) -> list[str]:
    """Return what the answer tells of its way, without a model's own reasoning."""
    return [
        each.content
        for each in entries
        if each.type == Event.Type.THINKING and (each.data or {}).get("step") != "reasoning"
    ]


def _text_in(entries: list[LogEvent]) -> str:
    return "".join(each.content for each in entries if each.type == Event.Type.DELTA)


def _drawn(text: str, final: int) -> tuple[tuple[str, int] | None, str]:
    """Return the HTML of the blocks after `final` and where they end, and that of the tail."""
    blocks, tail = blocks_of(text, final)
    made = ("".join(block.html for block in blocks), blocks[-1].end) if blocks else None
    return made, sketched(tail)


@on_database_thread
def _fingerprint(user_id: int, chat_id: UUID) -> ChatFingerprint | None:
    """Return how a chat is now; None if its user has no such chat."""
    chat = Chat.objects.of(user_id).filter(pk=chat_id).first()
    return fingerprint_of(chat) if chat else None
