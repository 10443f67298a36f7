"""The ORM for asynchronous code: short calls on a few threads that live as long as the process.

A connection is held for the call alone, so that a stream of minutes holds none.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async

Given = ParamSpec("Given")
Result = TypeVar("Result")

_threads = ThreadPoolExecutor(3, thread_name_prefix="chats")
_writing = ThreadPoolExecutor(1, thread_name_prefix="event-log")


def on_thread(call: Callable[Given, Result]) -> Callable[Given, Coroutine[Any, Any, Result]]:
    """Return `call` for use on an event loop."""
    made: Callable[Given, Coroutine[Any, Any, Result]] = database_sync_to_async(
        call, thread_sensitive=False, executor=_threads
    )
    return made


def on_writing_thread(
    call: Callable[Given, Result],
) -> Callable[Given, Coroutine[Any, Any, Result]]:
    """Do the same on the one thread of the event log, which no reader may keep waiting."""
    made: Callable[Given, Coroutine[Any, Any, Result]] = database_sync_to_async(
        call, thread_sensitive=False, executor=_writing
    )
    return made
