"""What the filter would do with a request, told for each message; no provider is asked."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from proxy.common.web.asgi import ClientGone, Receive, Send, read_body, send_json
from proxy.errors import NotFound
from proxy.filtering.cpu_threads import beside
from proxy.filtering.decisions import told
from proxy.filtering.result import Context
from proxy.gateway.call import Call
from proxy.gateway.cost_preset import gate_like
from proxy.gateway.flow import prepared
from proxy.options import options
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
