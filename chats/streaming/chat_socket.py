"""A chat over a WebSocket: its messages as they come, answers event by event, questions and stop.

It shows what the database has, as the streams over HTTP do; the bell only says when to look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from rest_framework.exceptions import APIException

from chats.answers import finish, revocation, runner
from chats.answers.request import StartedAnswer
from chats.answers.start import continue_answer, regenerate, start_answer
from chats.errors import BadQuestion, NoSuchAnswer
from chats.eventlog import log, notify
from chats.eventlog.event import Type
from chats.models import Message
from chats.serializers.questions import (
    AgainSerializer,
    ContinueSerializer,
    GenerateSerializer,
    id_in,
    options_of,
)
from chats.streaming.changes import changes_since, generation_of, has_chat, newest_message, stop_all
from proxy.common.access import Access, Identity
from proxy.common.runtime.threads import on_database_thread
from proxy.errors import ApiError

PROTOCOL, TOKEN_PREFIX = "alchemyst", "bearer."
TOO_BIG, INTERNAL, NOT_AUTHENTICATED, NOT_FOUND = 1009, 1011, 4401, 4404
# How long a stranger may take to say who they are.
AUTH_TIMEOUT_SECONDS = 10.0
# How often an open socket's token or session is looked at, besides at each action.
CHECK_SECONDS = 60.0

logger = logging.getLogger(__name__)


class ChatConsumer(AsyncWebsocketConsumer):
    """One socket on one chat of its caller's."""

    # The bell has its own way through the channel layer, and lives without it.
    channel_layer_alias = ""

    async def connect(self) -> None:
        self.chat_id = id_in(self.scope["url_route"]["kwargs"]["chat_id"])
        self.identity: Identity = self.scope["identity"]
        self.access: Access | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._following: UUID | None = None
        offered = self.scope.get("subprotocols", [])
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        tokens = [word for word in offered if word.startswith(TOKEN_PREFIX)]
        if tokens:
            await self._authenticate(self.identity.by_token(tokens[0].removeprefix(TOKEN_PREFIX)))
        elif self.identity.may_have_session:
            await self._authenticate(self.identity.again(), is_last_word=False)
        if self.access is None:
            self._start(self._auth_timeout())

    @property
    def caller(self) -> Access:
        """Who was let in, and what they may."""
        assert self.access is not None
        return self.access

    async def disconnect(self, code: int) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if len(text_data or bytes_data or "") > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            await self.close(TOO_BIG)
            return
        try:
            said = _decoded(text_data)
            if self.access is None:
                await self._auth_message(said)
                return
            await self._checked()
            if self.access is not None:
                await self._act(said)
        except (ApiError, APIException) as error:
            await self._send_error(error)

    # ---- who it is

    async def _authenticate(
        self, asked: Coroutine[Any, Any, Access], *, is_last_word: bool = True
    ) -> None:
        """Begin, if the caller may; otherwise end, unless a token may still come."""
        try:
            self.access = await asked
        except APIException:
            if is_last_word:
                await self.close(NOT_AUTHENTICATED)
            return
        if self.chat_id is None or not await has_chat(self.caller.user.pk, self.chat_id):
            self.access = None
            await self.close(NOT_FOUND)
            return
        await self._begin(self.chat_id)

    async def _auth_message(self, said: dict[str, Any]) -> None:
        token = said.get("token")
        if said.get("type") == "auth" and isinstance(token, str):
            await self._authenticate(self.identity.by_token(token))
        else:
            await self.close(NOT_AUTHENTICATED)

    async def _auth_timeout(self) -> None:
        await asyncio.sleep(AUTH_TIMEOUT_SECONDS)
        if self.access is None:
            await self.close(NOT_AUTHENTICATED)

    async def _checked(self) -> None:
        """End when the token or the session has ended, or the chat is gone."""
        try:
            self.access = await self.identity.again()
        except APIException:
            self.access = None
            await self.close(NOT_AUTHENTICATED)

    # ---- what it sees

    async def _begin(self, chat_id: UUID) -> None:
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        session = id_in(query.get("replaySessionID", [""])[-1])
        after = query.get("after", ["0"])[-1]
        start = int(after) if after.isascii() and after.isdecimal() and len(after) < 10 else 0
        self._seen = await newest_message(chat_id)
        news = await changes_since(self.caller.user.pk, chat_id, self._seen, None)
        current = news.generation if news and news.is_running else None
        told = {"type": "ready", "chatId": str(chat_id), "running": current and str(current)}
        await self._send(told)
        if session or current:
            await self._follow(session or current, start)
        self._start(self._watch(chat_id, news.generation if news else None))

    async def _watch(self, chat_id: UUID, generation: UUID | None) -> None:
        """Tell what is new in the chat, and look at times whether the caller still may know."""
        checked = time.monotonic()
        user_id = self.caller.user.pk
        with notify.subscribed(str(chat_id), revocation.topic(user_id)) as listener:
            while True:
                is_due = time.monotonic() - checked >= CHECK_SECONDS
                if is_due or revocation.is_revoked_since(user_id, checked):
                    checked = time.monotonic()
                    await self._checked()
                    if self.access is None:
                        return
                news = await changes_since(self.caller.user.pk, chat_id, self._seen, generation)
                if news is None:
                    await self.close(NOT_FOUND)
                    return
                for message in news.messages:
                    self._seen = message.pk
                    await self._send({"type": "message", "message": _shown(message)})
                if news.generation and news.generation != generation:
                    generation = news.generation
                    await self._follow(generation, 0)
                await listener.wait(notify.poll_interval(CHECK_SECONDS))

    async def _follow(self, generation_id: UUID | None, after: int) -> None:
        """Tell an answer's events from that one on, in place of another answer's."""
        found = generation_id and await generation_of(self.caller.user.pk, generation_id)
        if not found or found.chat_id != self.chat_id:
            raise NoSuchAnswer
        if self._follower and not self._follower.done():
            if self._following == found.pk and not after:
                return
            self._follower.cancel()
        self._following = found.pk
        self._follower = self._start(self._send_events(found.pk, after))

    async def _send_events(self, generation_id: UUID, after: int) -> None:
        named = {"replaySessionID": str(generation_id)}
        try:
            async with aclosing(
                log.follow(generation_id, after, on_abandoned=finish.expire)
            ) as followed:
                async for entries in followed:
                    for entry in entries:
                        told = (
                            {"type": "done"} if entry.type == Type.DONE else entry.to_client() or {}
                        )
                        told.setdefault("type", "error")
                        await self._send(told | named | {"id": entry.sequence})
        except log.LogUnavailable:
            error = {"message": "The answer can't be read on just now.", "code": "unavailable"}
            await self._send({"type": "error", "error": error} | named)

    # ---- what it does

    async def _act(self, said: dict[str, Any]) -> None:
        acts = {
            "ask": self._ask,
            "regenerate": self._regenerate,
            "continue": self._continue,
            "stop": self._stop,
            "follow": self._follow_named,
            "ping": self._ping,
        }
        kind = said.pop("type", None)
        act = acts.get(kind) if isinstance(kind, str) else None
        if act is None:
            raise BadQuestion(f"The type must be one of {', '.join(acts)}.")
        is_question = kind in ("ask", "regenerate", "continue")
        await self.identity.count("chat" if is_question else "api", self.caller.user.pk)
        await act(said)

    async def _ask(self, said: dict[str, Any]) -> None:
        asked = {"role": "user", "content": said.pop("content", None), "id": said.pop("id", "")}
        serializer = GenerateSerializer(data=said | {"chat_history": [asked]})
        serializer.is_valid(raise_exception=True)
        question = serializer.question(self.caller, chat_id=self.chat_id)
        await self._run(on_database_thread(start_answer)(self.caller.user, question))

    async def _regenerate(self, said: dict[str, Any]) -> None:
        serializer = AgainSerializer(data=said)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        assert self.chat_id is not None
        await self._run(
            on_database_thread(regenerate)(
                self.caller.user,
                self.chat_id,
                options_of(asked, self.caller),
                asked["messageId"],
                asked["content"],
            )
        )

    async def _continue(self, said: dict[str, Any]) -> None:
        serializer = ContinueSerializer(data=said)
        serializer.is_valid(raise_exception=True)
        message_id = serializer.validated_data["messageId"]
        manner = options_of({}, self.caller)
        assert self.chat_id is not None
        await self._run(
            on_database_thread(continue_answer)(self.caller.user, self.chat_id, manner, message_id)
        )

    async def _run(self, beginning: Coroutine[Any, Any, StartedAnswer]) -> None:
        runner.refuse_if_draining()
        begun = await beginning
        await runner.start(begun)
        if not begun.is_new:
            await self._follow(begun.generation.pk, 0)

    async def _stop(self, said: dict[str, Any]) -> None:
        assert self.chat_id is not None
        await stop_all(self.caller.user.pk, self.chat_id)

    async def _follow_named(self, said: dict[str, Any]) -> None:
        after = said.get("after", 0)
        if not isinstance(after, int) or isinstance(after, bool) or not 0 <= after < 2**31:
            raise BadQuestion("'after' must be the id of an event.")
        await self._follow(id_in(str(said.get("replaySessionID", ""))), after)

    async def _ping(self, said: dict[str, Any]) -> None:
        await self._send({"type": "pong"})

    # ---- how it speaks

    async def _send(self, told: dict[str, Any]) -> None:
        await self.send(msgspec.json.encode(told).decode())

    async def _send_error(self, error: ApiError | APIException) -> None:
        made: ApiError = self.scope["to_api_error"](error)
        told = {"message": made.message, "type": made.type, "code": made.code}
        if made.details:
            told["details"] = made.details  # type: ignore[assignment]
        await self._send({"type": "error", "error": told})

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # Who has left can be told nothing more, and that is all there is to it.
        if not isinstance(error, OSError):
            logger.error("A chat's socket failed: %s", type(error).__name__, exc_info=error)
            self._start(self.close(INTERNAL))


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise BadQuestion("Send JSON objects, as text.") from None
    if not isinstance(said, dict):
        raise BadQuestion("Send JSON objects, as text.")
    return said


def _shown(message: Message) -> dict[str, Any]:
    return {
        "id": str(message.pk),
        "role": message.role,
        "content": message.content,
        "position": message.position,
        "createdAt": message.created.isoformat(),
    }
