"""What the filter would do with a request, told for each message; no provider is asked."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from proxy.calls.cost_gate import build_preview_gate_config
from proxy.common.web.asgi import ClientDisconnected, Receive, Send, send_json
from proxy.errors import NotFound
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.filtering.decisions import to_json
from proxy.filtering.result import FilterResult
from proxy.gateway.body import read_decoded
from proxy.gateway.call import Call
from proxy.gateway.flow import filter_body
from proxy.gateway.request_options import parse
from proxy.options import options
from proxy.wire import openai

NAME = "preview"
"""Stands in a path where a call's target would."""


def spelled_out(path: str) -> str:
    """Return a path with the endpoint that the bare `preview` means."""
    return f"{NAME}/{openai.COMPLETIONS}" if path == NAME else path


async def send_preview(call: Call, receive: Receive, send: Send) -> None:
    """Answer with the decision on each message of the body."""
    if not call.route.is_filtered:
        raise NotFound(
            "Only what is filtered has a preview. Use POST /api/v1/proxy/preview, "
            "/api/v1/proxy/preview/v1/responses, /api/v1/proxy/preview/v1/messages or "
            "/api/v1/proxy/preview/v1beta/models/{model}:generateContent."
        )
    request_options = parse(call.scope, is_filtered=True)
    with suppress(ClientDisconnected):
        body = await read_decoded(call.scope, receive)
        # Priced like a request to the dialect's own provider.
        gate_config = await build_preview_gate_config(
            call.user_id, call.dialect.OWN_HOST, request_options.cost
        )
        _, result = await filter_body(body, call, request_options, gate_config, is_preview=True)
        answer = await run_in_thread_if_large(len(body), _encode, result)
        header = (b"x-alchemyst-context", result.header.encode())
        await send_json(send, answer, headers=[header])


def _encode(result: FilterResult) -> bytes:
    is_short = result.tokens_before < options().short_tokens
    return msgspec.json.encode(to_json(result) | {"short": is_short})
