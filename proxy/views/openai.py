"""The OpenAI side of the proxy: chat completions, filtered and forwarded; lists of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import msgspec
from django.conf import settings
from multidict import CIMultiDict

from proxy import builtin, context, forward, headers, permits, pins
from proxy.context import Context, Wish
from proxy.errors import InvalidMessages, InvalidRequest, ModelNotFound, ProxyError
from proxy.forward import ClientGone, Receive, Send
from proxy.relevance import modes
from proxy.views.base import (
    DEFAULT,
    Call,
    Outcome,
    Provider,
    Scope,
    bounds,
    builtin_provider,
    header,
    provider_of,
    read_body,
)
from proxy.wire import openai as wire

COMPLETIONS, MODELS = "chat/completions", "models"

# A body up to this size is read and filtered where it arrives; larger ones on a thread, so that
# the others' streams flow on.
INLINE_BYTES = 64 * 1024
_threads = ThreadPoolExecutor(2, thread_name_prefix="filter")


async def completions(path: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer POST {target}/chat/completions."""
    call = Call(scope, COMPLETIONS)
    async with _accounted(call):
        # The cheap refusals first: a bad target needs no body, a bad body no model that starts.
        named = await provider_of(path, scope)
        body = await read_body(scope, receive)
        request, sent = await _prepared(body, scope)
        call.model, call.context = request.model, sent
        permits.check_model(request.model, scope["access"].allowed_models)
        if named is None:
            _check_for_builtin(request)
        async with forward.while_connected(receive):
            provider = named or await builtin_provider()
            call.target = provider.name
            await _forward_completion(call, provider, request, send)


def _check_for_builtin(request: wire.Request) -> None:
    if request.model != builtin.MODEL:
        raise ModelNotFound(
            f"The model '{request.model[:100]}' does not exist here. "
            f"On this route, set model to '{builtin.MODEL}'.",
            param="model",
        )
    if not settings.C1_BASE_URL and wire.has_media(request):
        raise InvalidMessages("The built-in model reads text only.", param="messages")


async def models(path: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer GET {target}/models: the provider's list, or that of the built-in model."""
    call = Call(scope, MODELS)
    async with _accounted(call):
        provider = await provider_of(path, scope)
        if provider is None:
            call.target = DEFAULT
            await _send_json(call, send, msgspec.json.encode(builtin.models()))
            return
        call.target = provider.name
        async with forward.while_connected(receive), _opened(call, provider, None) as response:
            await _relay(call, response, send)


@asynccontextmanager
async def _accounted(call: Call) -> AsyncIterator[None]:
    """Note the call's row, whatever becomes of it; a client that left needs no answer."""
    try:
        yield
    except ClientGone:
        call.status, call.outcome = call.status or 499, Outcome.CLIENT_CLOSED
    except ProxyError as error:
        call.status = error.status
        raise
    except Exception:
        call.status = 500
        raise
    finally:
        call.note()


async def _prepared(body: bytes, scope: Scope) -> tuple[wire.Request, Context]:
    """Return the request, checked, and what of it goes to the provider."""
    wished = _wished(scope)
    if len(body) <= INLINE_BYTES:
        return _read_and_filtered(body, *wished)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _read_and_filtered, body, *wished)


def _wished(scope: Scope) -> tuple[str, str, str]:
    """Return the mode, pins and exclusions that a caller's headers ask for.

    The mode comes from the header, else from the key or the user, else from the operator.
    """
    mode = header(scope, b"x-alchemyst-relevance")
    if mode is not None and mode not in modes.NAMES:
        raise InvalidRequest(
            f"X-Alchemyst-Relevance must be one of {', '.join(modes.NAMES)}.",
            param="X-Alchemyst-Relevance",
        )
    mode = mode or scope["access"].relevance or settings.PROXY_RELEVANCE
    pinned = header(scope, b"x-alchemyst-pin") or ""
    return mode, pinned, header(scope, b"x-alchemyst-exclude") or ""


def _read_and_filtered(
    body: bytes, mode: str, pinned: str, excluded: str
) -> tuple[wire.Request, Context]:
    request = wire.read(body, most_messages=settings.PROXY_MAX_MESSAGES)
    count = len(request.messages)
    wish = Wish(
        mode,
        pins.places(pinned, count, header="X-Alchemyst-Pin"),
        pins.places(excluded, count, header="X-Alchemyst-Exclude"),
        settings.PROXY_FILTER_SECONDS,
    )
    return request, context.filtered(request, wire, wish)


async def _forward_completion(
    call: Call, provider: Provider, request: wire.Request, send: Send
) -> None:
    """Ask the provider and relay its answer; what it refuses filtered, it gets once as it came."""
    assert call.context is not None
    async with _opened(call, provider, call.context.body) as response:
        if response.status != 400 or call.context.filtering != "filtered":
            await _relay(call, response, send)
            return
    undone = context.whole(request, call.context.mode, "undone")
    call.context = replace(undone, milliseconds=call.context.milliseconds)
    async with _opened(call, provider, request.body) as response:
        await _relay(call, response, send)


@asynccontextmanager
async def _opened(
    call: Call, provider: Provider, body: bytes | None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open the provider on the call's endpoint: with a body by POST, without by GET."""
    sent: CIMultiDict[str] = headers.upward(call.scope["headers"], _passing())
    sent["Authorization"] = f"Bearer {provider.key}"
    if body is not None and provider.model and provider.model != call.model:
        body = wire.with_model(body, provider.model)
    method = "GET" if body is None else "POST"
    url = provider.url(call.endpoint)
    async with forward.opened(provider.client, method, url, sent, body, bounds()) as response:
        yield response


def _passing() -> frozenset[bytes]:
    return frozenset(name.lower().encode() for name in settings.PROXY_PASS_HEADERS)


async def _relay(call: Call, response: aiohttp.ClientResponse, send: Send) -> None:
    call.status = response.status
    # Until the relay has ended well, it is broken: a client that leaves says otherwise.
    call.outcome = Outcome.BROKEN
    await forward.relay(response, send, call.own_headers(), wire, bounds(), call.relayed)
    if call.relayed.is_complete:
        call.outcome = Outcome.COMPLETE


async def _send_json(call: Call, send: Send, body: bytes) -> None:
    call.status, call.outcome = 200, Outcome.COMPLETE
    sized = (b"content-length", str(len(body)).encode())
    told = [(b"content-type", b"application/json"), sized, *call.own_headers()]
    await send({"type": "http.response.start", "status": 200, "headers": told})
    await send({"type": "http.response.body", "body": body})
