"""Who answers what: the proxy's path, answers in chats, WebSockets, and Django for all else.

The proxy's path does not go through Django's request handler, which costs ten times as much as
the forwarding itself. Its layers, outermost first: secrets masked for the server's log and a
request id -> pages of other sites -> exceptions become answers -> a clock for the body -> token and
scope -> the limit of concurrent calls -> the caller's rate -> the proxy.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from typing import cast

from asgiref.sync import ThreadSensitiveContext
from django.core.asgi import get_asgi_application

from alchemyst.operations.mishaps import exit_in_words

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "alchemyst.settings")
with exit_in_words():
    django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter
from django.urls import is_valid_path

from alchemyst.accounts.auth.asgi import BearerOrKeyHeader, BearerOrSession, RateLimited
from alchemyst.accounts.auth.sockets import OriginCheck, SocketIdentityMiddleware
from alchemyst.accounts.limits import quota, rate
from alchemyst.celery import in_process_runner
from alchemyst.errors import ErrorMiddleware, to_api_error
from alchemyst.logs import RequestIdMiddleware
from alchemyst.operations import checks, heartbeat, periodic_tasks
from alchemyst.web.body_clock import BodyClock
from alchemyst.web.body_limit import BodyLimitMiddleware
from alchemyst.web.connections import raise_descriptor_limit
from alchemyst.web.cors import CrossOriginMiddleware
from alchemyst.web.daphne_patches import patch_daphne
from alchemyst.web.redaction import PROXY_PREFIX, names_proxy
from chats import lifespan as chats_lifespan
from chats.streaming.routes import asks_a_model, chat_application, claims
from chats.streaming.sockets import websockets
from proxy import lifespan as proxy_lifespan
from proxy.common.runtime import threads
from proxy.common.web.asgi import App, Message, Receive, Scope, Send, call_refusing
from proxy.errors import NotFound
from proxy.gateway.routes import proxy_application, refuse_upgrade
from proxy.limits.concurrency import ConcurrencyLimit

with exit_in_words():
    checks.refuse_unsafe()
raise_descriptor_limit()
patch_daphne()

# What changes nothing, as HTTP has it.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# How many more objects than before make the collector search for cycles.
GARBAGE_AFTER = 20_000
# How long the tasks that run here may take to end when the process shall.
TASKS_END_SECONDS = 10.0


def with_thread_pool(app: App) -> App:
    """Run `app`'s synchronous parts on a few threads that live as long as the process.

    Django under ASGI otherwise starts a thread, and with it a database connection, for every
    request. Of those for requests that read, or for those that write, the one with the fewest
    requests is used, so that a slow request holds up few others. So many requests that write are
    under way, and others are refused: each may wait for a lock of the whole database.
    """
    under_way: dict[Executor, int] = dict.fromkeys(threads.REQUESTS, 0)
    writers = threads.Waiting(len(threads.WRITING) * threads.MOST_WAITING)

    async def run_on(
        executors: Sequence[Executor], scope: Scope, receive: Receive, send: Send
    ) -> None:
        executor = min(executors, key=under_way.__getitem__)
        under_way[executor] += 1
        try:
            async with ThreadSensitiveContext(executor=executor):
                await app(scope, receive, send)
        finally:
            under_way[executor] -= 1

    async def run_on_pool(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in SAFE_METHODS:
            await run_on(threads.READING, scope, receive, send)
            return
        with ExitStack() as until_the_end:
            # Only now: who is slow to send holds up nobody.
            receive = _with_whole_body(
                receive, lambda: until_the_end.enter_context(writers.place())
            )
            await call_refusing(partial(run_on, threads.WRITING), scope, receive, send)

    return run_on_pool


def _with_whole_body(receive: Receive, begin: Callable[[], object]) -> Receive:
    """Return `receive`, which calls `begin` when the request has arrived to its end."""
    is_whole = False

    async def receive_and_begin() -> Message:
        nonlocal is_whole
        event = await receive()
        if not is_whole and not event.get("more_body"):
            is_whole = True
            begin()
        return event

    return receive_and_begin


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Start warm, with a clean heap; at the end close what the proxy holds, write its last rows."""
    tasks: list[asyncio.Task[None]] = []
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            proxy_lifespan.warm_up()
            await chats_lifespan.start()
            await heartbeat.begin()
            # What was imported stays for ever: the collector need not scan it again. Nor need it
            # search for cycles after each few requests, which leave none (a tenth of their cost).
            gc.collect()
            gc.freeze()
            gc.set_threshold(GARBAGE_AFTER)
            tasks = [asyncio.create_task(each()) for each in (periodic_tasks.keep, heartbeat.keep)]
        else:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=TASKS_END_SECONDS)
            await chats_lifespan.close()
            await asyncio.to_thread(in_process_runner.close, TASKS_END_SECONDS)
            await proxy_lifespan.close()
            await quota.aclose()
            await heartbeat.close()
            await rate.aclose()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


# Concurrency first: a request that is refused there is not counted by the rate.
within_limits = ConcurrencyLimit(RateLimited(proxy_application, limit="proxy"))
on_proxy_path = CrossOriginMiddleware(
    ErrorMiddleware(BodyClock(BearerOrKeyHeader(within_limits, scope="proxy")))
)
# The chats apply staff's limits themselves, for each question, whichever way it came.
chat_answers = RateLimited(chat_application, limit="chat", reserves_quota=False)
chat_reads = RateLimited(chat_application, limit="api", reserves_quota=False)
django_app = ErrorMiddleware(
    BodyClock(BodyLimitMiddleware(with_thread_pool(cast("App", django_application))))
)


async def limited_chat(scope: Scope, receive: Receive, send: Send) -> None:
    app = chat_answers if asks_a_model(scope["path"]) else chat_reads
    await app(scope, receive, send)


within_chat_limits = ConcurrencyLimit(limited_chat)
on_chat_path = ErrorMiddleware(BodyClock(BearerOrSession(within_chat_limits, scope="chat")))


@ErrorMiddleware
async def on_misspelt_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse what was meant for the proxy, with its key, before anything else reads it."""
    raise NotFound(f"There is nothing here. The proxy's paths begin with {PROXY_PREFIX}.")


async def http(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    if path.startswith(PROXY_PREFIX):
        app: App = on_proxy_path
    elif names_proxy(path) and not is_valid_path(path):
        app = on_misspelt_path
    else:
        app = on_chat_path if claims(path) else django_app
    await app(scope, receive, send)


async def websockets_with_errors(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket, which says what went wrong in the words of the API."""
    await websockets({**scope, "to_api_error": to_api_error}, receive, send)


chat_sockets = OriginCheck(SocketIdentityMiddleware(websockets_with_errors, scope="chat"))


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the chats' WebSockets; on the proxy's path there are none."""
    app = refuse_upgrade if scope["path"].startswith(PROXY_PREFIX) else chat_sockets
    await app(scope, receive, send)


application = RequestIdMiddleware(
    ProtocolTypeRouter(
        {
            "http": http,
            "websocket": websocket,
            "lifespan": lifespan,
        }
    )
)
