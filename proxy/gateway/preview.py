"""What the filter would do with a request, told for each message; no provider is asked."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from proxy.common.web.asgi import ClientDisconnected, Receive, Send, read_body, send_json
from proxy.errors import NotFound
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.filtering.decisions import to_json
from proxy.filtering.result import FilterResult
from proxy.gateway.call import Call
from proxy.gateway.cost_preset import cost_gate_like
from proxy.gateway.flow import filter_body
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
    with suppress(ClientDisconnected):
        body = await read_body(call.scope, receive, options().max_body)
        gate = await cost_gate_like(call.scope, call.dialect)
        _, call.filter_result = await filter_body(body, call, gate, is_kept=False)
        answer = await run_in_thread_if_large(len(body), _answer, call.filter_result)
        named = (b"x-alchemyst-context", call.filter_result.header.encode())
        await send_json(send, answer, headers=[named])


def _answer(context: FilterResult) -> bytes:
    return msgspec.json.encode(to_json(context))
