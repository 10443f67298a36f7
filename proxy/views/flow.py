"""The one way of a call through the proxy, whatever its dialect: checked, filtered, forwarded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import aiohttp
from django.conf import settings
from multidict import CIMultiDict

from proxy import context, forward, headers, permits, pins
from proxy.context import Context, Wish
from proxy.errors import InvalidRequest, ProxyError, UpstreamUnreachable
from proxy.forward import Send
from proxy.headers import header
from proxy.relevance import modes
from proxy.views import openai
from proxy.views.base import (
    Call,
    Outcome,
    Provider,
    Scope,
    builtin_provider,
    provider_of,
    read_body,
)
from proxy.watch import ClientGone, Receive, Watch
from proxy.wire.dialect import Dialect, Request, Route

Result = TypeVar("Result")

# In place of a mode: what the mode chosen otherwise would do is told, and the original forwarded.
SHADOW = "shadow"

# A body up to this size is read and filtered where it arrives; larger ones on a thread, so that
# the others' streams flow on.
INLINE_BYTES = 16 * 1024
_threads = ThreadPoolExecutor(2, thread_name_prefix="filter")


async def completed(call: Call, receive: Receive, send: Send) -> None:
    """Answer a call whose body holds a conversation: what matters of it goes to the provider."""
    scope, route = call.scope, call.route
    async with _accounted(call):
        # The cheap refusals first: a bad target needs no body, a bad body no model that starts.
        named = await provider_of(route.target, scope, dialect=call.dialect)
        if named is None:
            openai.check_dialect(call.dialect)
        body = await read_body(scope, receive)
        request, sent = await prepared(body, call)
        call.model, call.context = request.model, sent
        permits.check_model(request.model, scope["access"].allowed_models)
        if named is None:
            openai.check_for_builtin(request)
        async with Watch(receive) as call.watch:
            provider = named or await builtin_provider()
            call.target = provider.name
            await _forward_completion(call, provider, request, send)


async def passed(call: Call, receive: Receive, send: Send) -> None:
    """Answer any other call: its body goes to the provider as it came."""
    async with _accounted(call):
        call.model = call.route.model
        provider = await provider_of(call.route.target, call.scope, dialect=call.dialect)
        if call.model:
            permits.check_model(call.model, call.scope["access"].allowed_models)
        if provider is None:
            openai.check_dialect(call.dialect)
            await openai.send_models(call, send)
            return
        call.target = provider.name
        body = await read_body(call.scope, receive) if call.route.method == "POST" else None
        async with Watch(receive) as call.watch, _opened(call, provider, body) as response:
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


async def prepared(body: bytes, call: Call) -> tuple[Request, Context]:
    """Return the request, checked, and what of it goes to the provider."""
    wished = _wished(call.scope)
    return await beside(len(body), _read_and_filtered, body, call.dialect, call.route, *wished)


async def beside(size: int, work: Callable[..., Result], *args: Any) -> Result:
    """Do work on a body of that size: here if it is small, else on a thread of the filter's."""
    if size <= INLINE_BYTES:
        return work(*args)
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *args)


def _wished(scope: Scope) -> tuple[str, bool, str, str]:
    """Return the mode, whether in shadow, pins and exclusions that a caller's headers ask for.

    The mode comes from the header, else from the key or the user, else from the operator.
    """
    mode = header(scope, b"x-alchemyst-relevance")
    is_shadow = mode == SHADOW
    if mode is not None and mode not in modes.NAMES and not is_shadow:
        raise InvalidRequest(
            f"X-Alchemyst-Relevance must be one of {', '.join((*modes.NAMES, SHADOW))}.",
            param="X-Alchemyst-Relevance",
        )
    if mode is None or is_shadow:
        mode = scope["access"].relevance or settings.PROXY_RELEVANCE
    pinned = header(scope, b"x-alchemyst-pin") or ""
    return mode, is_shadow, pinned, header(scope, b"x-alchemyst-exclude") or ""


def _read_and_filtered(
    body: bytes,
    dialect: Dialect,
    route: Route,
    mode: str,
    is_shadow: bool,
    pinned: str,
    excluded: str,
) -> tuple[Request, Context]:
    request = dialect.read(body, route, most_messages=settings.PROXY_MAX_MESSAGES)
    count = len(request.messages)
    wish = Wish(
        mode,
        pins.places(pinned, count, header="X-Alchemyst-Pin"),
        pins.places(excluded, count, header="X-Alchemyst-Exclude"),
        settings.PROXY_FILTER_SECONDS,
        is_shadow,
    )
    return request, context.filtered(request, dialect, wish)


async def _forward_completion(call: Call, provider: Provider, request: Request, send: Send) -> None:
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


def _opened(
    call: Call, provider: Provider, body: bytes | None
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """Open the provider on the call's endpoint."""
    passing = _passing(tuple(settings.PROXY_PASS_HEADERS))
    sent: CIMultiDict[str] = headers.upward(call.scope["headers"], passing)
    name, value = call.dialect.credential(provider.key)
    sent[name] = value
    if body is not None and provider.model and provider.model != call.model:
        body = openai.with_model(body, provider.model)
    url = provider.url(call.route.endpoint)
    client, method = provider.client, call.route.method
    return forward.opened(client, method, url, sent, body, call.bounds, call.watch)


@cache
def _passing(names: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(name.lower().encode() for name in names)


async def _relay(call: Call, response: aiohttp.ClientResponse, send: Send) -> None:
    call.status = response.status
    # Until the relay has ended well, it is broken: a client that leaves says otherwise.
    call.outcome = Outcome.BROKEN
    await forward.relay(
        response,
        send,
        call.own_headers(),
        call.dialect,
        call.bounds,
        call.relayed,
        call.watch,
    )
    if call.relayed.is_complete:
        call.outcome = Outcome.COMPLETE
    else:
        await _close_readably(call, response, send)


async def _close_readably(call: Call, response: aiohttp.ClientResponse, send: Send) -> None:
    """End an answer that broke, and that is no event stream, so that a client can read why."""
    is_json = response.status == 200 and response.content_type == "application/json"
    if not is_json or response.content_length is not None:
        return
    broke = UpstreamUnreachable("The provider's answer broke off. Try again.")
    end = call.dialect.closing(b"".join(call.relayed.tail), broke)
    if end is not None:
        await send({"type": "http.response.body", "body": end})
