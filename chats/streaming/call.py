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

    async def asked(self, serializer: type[serializers.Serializer[Any]]) -> Any:
        """Return the body's sound fields, in a serializer; raises InvalidRequest and the like."""
        body = await read_body(self.scope, self.receive, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        return await run_in_thread_if_large(len(body), _checked, serializer, body)

    def query(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Return the query's sound fields."""
        pairs = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        checked = serializer(data={name: values[-1] for name, values in pairs.items()})
        checked.is_valid(raise_exception=True)
        found: dict[str, Any] = checked.validated_data
        return found

    def key(self) -> str:
        """Return the idempotency key; empty without one."""
        key = header(self.scope, b"idempotency-key") or ""
        if len(key) > LONGEST_KEY or not key.isprintable():
            raise BadQuestion(f"An Idempotency-Key has at most {LONGEST_KEY} printable characters.")
        return key

    def after(self) -> int:
        """Return the number of the last event that the client has."""
        said = header(self.scope, b"last-event-id") or ""
        if not said:
            return 0
        if not said.isascii() or not said.isdecimal() or len(said) > 9:
            raise BadQuestion("Last-Event-ID must be the id of an event of this stream.")
        return int(said)

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
