"""What the filter would do with a request, told for each message; no provider is asked."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from proxy.common.asgi import ClientGone, Receive, Send, read_body, send_json
from proxy.context import Context
from proxy.decisions import told
from proxy.errors import NotFound
from proxy.options import options
from proxy.threads import beside
from proxy.views.base import Call
from proxy.views.flow import prepared
from proxy.views.wishes import gate_like
from proxy.wire import openai

NAME = "preview"
"""Stands in a path where a call's target would."""


def spelled_out(path: str) -> str:
    """Return a path with the endpoint that the bare `preview` means."""
    return f"{NAME}/{openai.COMPLETIONS}" if path == NAME else path


async def previewed(call: Call, receive: Receive, send: Send) -> None:
    """Answer with the decision on each message of the body."""
    if not call.route.is_filtered:
        raise NotFound(
            "Only what is filtered has a preview. Use POST /api/v1/proxy/preview, or "
            "/api/v1/proxy/preview/v1beta/models/{model}:generateContent."
        )
    with suppress(ClientGone):
        body = await read_body(call.scope, receive, options().max_body)
        gate = await gate_like(call.scope, call.dialect)
        _, call.context = await prepared(body, call, gate, is_kept=False)
        answer = await beside(len(body), _answer, call.context)
        named = (b"x-alchemyst-context", call.context.header.encode())
        await send_json(send, answer, headers=[named])


def _answer(context: Context) -> bytes:
    return msgspec.json.encode(told(context))
