"""A chat over a WebSocket: its messages as they come, answers event by event, questions and stop.

It shows what the database has, as the streams over HTTP do; a notification says when to read.
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

    # Notifications use the channel layer by themselves, and work without it.
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
            message = _decoded(text_data)
            if self.access is None:
                await self._auth_message(message)
                return
            await self._checked()
            if self.access is not None:
                await self._act(message)
        except (ApiError, APIException) as error:
            await self._send_error(error)

    # ---- who it is

    async def _authenticate(
        self, access: Coroutine[Any, Any, Access], *, is_last_word: bool = True
    ) -> None:
        """Begin, if the caller may; otherwise end, unless a token may still come."""
        try:
            self.access = await access
        except APIException:
            if is_last_word:
                await self.close(NOT_AUTHENTICATED)
            return
        if self.chat_id is None or not await has_chat(self.caller.user.pk, self.chat_id):
            self.access = None
            await self.close(NOT_FOUND)
            return
        await self._begin(self.chat_id)

    async def _auth_message(self, message: dict[str, Any]) -> None:
        token = message.get("token")
        if message.get("type") == "auth" and isinstance(token, str):
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
        self._last_message = await newest_message(chat_id)
        changes = await changes_since(self.caller.user.pk, chat_id, self._last_message, None)
        current = changes.generation if changes and changes.is_running else None
        message = {"type": "ready", "chatId": str(chat_id), "running": current and str(current)}
        await self._send(message)
        if session or current:
            await self._follow(session or current, start)
        self._start(self._watch(chat_id, changes.generation if changes else None))

    async def _watch(self, chat_id: UUID, generation: UUID | None) -> None:
        """Send what is new in the chat; check now and then that the caller still has access."""
        checked = time.monotonic()
        user_id = self.caller.user.pk
        with notify.subscribed(str(chat_id), revocation.topic(user_id)) as subscription:
            while True:
                is_due = time.monotonic() - checked >= CHECK_SECONDS
                if is_due or revocation.is_revoked_since(user_id, checked):
                    checked = time.monotonic()
                    await self._checked()
                    if self.access is None:
                        return
                changes = await changes_since(
                    self.caller.user.pk, chat_id, self._last_message, generation
                )
                if changes is None:
                    await self.close(NOT_FOUND)
                    return
                for message in changes.messages:
                    self._last_message = message.pk
                    await self._send({"type": "message", "message": _message_fields(message)})
                if changes.generation and changes.generation != generation:
                    generation = changes.generation
                    await self._follow(generation, 0)
                await subscription.wait(notify.poll_interval(CHECK_SECONDS))

    async def _follow(self, generation_id: UUID | None, after: int) -> None:
        """Send an answer's events after that one, in place of another answer's."""
        answer = generation_id and await generation_of(self.caller.user.pk, generation_id)
        if not answer or answer.chat_id != self.chat_id:
            raise NoSuchAnswer
        if self._follower and not self._follower.done():
            if self._following == answer.pk and not after:
                return
            self._follower.cancel()
        self._following = answer.pk
        self._follower = self._start(self._send_events(answer.pk, after))

    async def _send_events(self, generation_id: UUID, after: int) -> None:
        session = {"replaySessionID": str(generation_id)}
        try:
            async with aclosing(
                log.follow(generation_id, after, on_abandoned=finish.expire)
            ) as batches:
                async for events in batches:
                    for event in events:
                        message = (
                            {"type": "done"} if event.type == Type.DONE else event.to_client() or {}
                        )
                        message.setdefault("type", "error")
                        await self._send(message | session | {"id": event.sequence})
        except log.LogUnavailable:
            error = {"message": "The answer can't be read on just now.", "code": "unavailable"}
            await self._send({"type": "error", "error": error} | session)

    # ---- what it does

    async def _act(self, message: dict[str, Any]) -> None:
        actions = {
            "ask": self._ask,
            "regenerate": self._regenerate,
            "continue": self._continue,
            "stop": self._stop,
            "follow": self._follow_named,
            "ping": self._ping,
        }
        kind = message.pop("type", None)
        action = actions.get(kind) if isinstance(kind, str) else None
        if action is None:
            raise BadQuestion(f"The type must be one of {', '.join(actions)}.")
        is_question = kind in ("ask", "regenerate", "continue")
        await self.identity.count("chat" if is_question else "api", self.caller.user.pk)
        await action(message)

    async def _ask(self, message: dict[str, Any]) -> None:
        question_message = {
            "role": "user",
            "content": message.pop("content", None),
            "id": message.pop("id", ""),
        }
        serializer = GenerateSerializer(data=message | {"chat_history": [question_message]})
        serializer.is_valid(raise_exception=True)
        question = serializer.question(self.caller, chat_id=self.chat_id)
        await self._run(on_database_thread(start_answer, writes=True)(self.caller.user, question))

    async def _regenerate(self, message: dict[str, Any]) -> None:
        serializer = AgainSerializer(data=message)
        serializer.is_valid(raise_exception=True)
        fields = serializer.validated_data
        assert self.chat_id is not None
        await self._run(
            on_database_thread(regenerate, writes=True)(
                self.caller.user,
                self.chat_id,
                options_of(fields, self.caller),
                fields["messageId"],
                fields["content"],
            )
        )

    async def _continue(self, message: dict[str, Any]) -> None:
        serializer = ContinueSerializer(data=message)
        serializer.is_valid(raise_exception=True)
        message_id = serializer.validated_data["messageId"]
        options = options_of({}, self.caller)
        assert self.chat_id is not None
        await self._run(
            on_database_thread(continue_answer, writes=True)(
                self.caller.user, self.chat_id, options, message_id
            )
        )

    async def _run(self, starting: Coroutine[Any, Any, StartedAnswer]) -> None:
        runner.refuse_if_draining()
        answer = await starting
        await runner.start(answer)
        if not answer.is_new:
            await self._follow(answer.generation.pk, 0)

    async def _stop(self, message: dict[str, Any]) -> None:
        assert self.chat_id is not None
        await stop_all(self.caller.user.pk, self.chat_id)

    async def _follow_named(self, message: dict[str, Any]) -> None:
        after = message.get("after", 0)
        if not isinstance(after, int) or isinstance(after, bool) or not 0 <= after < 2**31:
            raise BadQuestion("'after' must be the id of an event.")
        await self._follow(id_in(str(message.get("replaySessionID", ""))), after)

    async def _ping(self, message: dict[str, Any]) -> None:
        await self._send({"type": "pong"})

    # ---- how it speaks

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(msgspec.json.encode(message).decode())

    async def _send_error(self, error: ApiError | APIException) -> None:
        api_error: ApiError = self.scope["to_api_error"](error)
        fields = {"message": api_error.message, "type": api_error.type, "code": api_error.code}
        if api_error.details:
            fields["details"] = api_error.details  # type: ignore[assignment]
        await self._send({"type": "error", "error": fields})

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # The client has disconnected: nothing is left to do.
        if not isinstance(error, OSError):
            logger.error("A chat's socket failed: %s", type(error).__name__, exc_info=error)
            self._start(self.close(INTERNAL))


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        message = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise BadQuestion("Send JSON objects, as text.") from None
    if not isinstance(message, dict):
        raise BadQuestion("Send JSON objects, as text.")
    return message


def _message_fields(message: Message) -> dict[str, Any]:
    return {
        "id": str(message.pk),
        "role": message.role,
        "content": message.content,
        "position": message.position,
        "createdAt": message.created.isoformat(),
    }
