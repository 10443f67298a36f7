"""A request to an endpoint that waits for a model: its body, query and headers, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import msgspec
from django.conf import settings
from rest_framework import serializers

from chats.errors import BadQuestion
from chats.serializers.questions import LONGEST_KEY
from proxy.common.access import Access, User, access_of
from proxy.common.web.asgi import Receive, Scope, Send, header, read_body, send_json
from proxy.errors import InvalidRequest
from proxy.filtering.cpu_threads import run_in_thread_if_large


@dataclass(slots=True)
class Call:
    """A request on its way."""

    scope: Scope
    receive: Receive
    send: Send

    @property
    def user(self) -> User:
        return self.access.user

    @property
    def access(self) -> Access:
        return access_of(self.scope)

    async def body(self, serializer: type[serializers.Serializer[Any]]) -> Any:
        """Return the body in the serializer that checked it; raises InvalidRequest and the like."""
        text = await read_body(self.scope, self.receive, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        return await run_in_thread_if_large(len(text), _checked, serializer, text)

    def query(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Return the query's sound fields."""
        pairs = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query_serializer = serializer(data={name: values[-1] for name, values in pairs.items()})
        query_serializer.is_valid(raise_exception=True)
        fields: dict[str, Any] = query_serializer.validated_data
        return fields

    def key(self) -> str:
        """Return the idempotency key; empty without one."""
        key = header(self.scope, b"idempotency-key") or ""
        if len(key) > LONGEST_KEY or not key.isprintable():
            raise BadQuestion(f"An Idempotency-Key has at most {LONGEST_KEY} printable characters.")
        return key

    def after(self) -> int:
        """Return the number of the last event that the client has."""
        event_id = header(self.scope, b"last-event-id") or ""
        if not event_id:
            return 0
        if not event_id.isascii() or not event_id.isdecimal() or len(event_id) > 9:
            raise BadQuestion("Last-Event-ID must be the id of an event of this stream.")
        return int(event_id)

    async def answer(self, status: int, body: Any) -> None:
        await send_json(self.send, msgspec.json.encode(body), status=status)


def _checked(kind: type[serializers.Serializer[Any]], body: bytes) -> Any:
    try:
        data = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    if not isinstance(data, dict):
        raise InvalidRequest
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    return serializer
