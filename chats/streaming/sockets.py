"""Which WebSocket leads where."""

from __future__ import annotations

from typing import Any, cast

from channels.routing import URLRouter
from django.urls import path, re_path

from chats.streaming.chat_socket import NOT_FOUND, ChatConsumer
from chats.streaming.page_socket import PageConsumer
from proxy.common.web.asgi import Receive, Scope, Send


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse the handshake: there is nothing at this path."""
    await receive()
    await send({"type": "websocket.close", "code": NOT_FOUND})


websockets = URLRouter(
    [
        path("ws/chat/<uuid:chat_id>/page", PageConsumer.as_asgi()),
        path("ws/chat/<str:chat_id>", ChatConsumer.as_asgi()),
        path("ws/chat/<str:chat_id>/", ChatConsumer.as_asgi()),
        re_path(r"", cast("Any", nowhere)),
    ]
)
