"""The same questions in front of an ASGI application: who is calling, may they, how often.

What they raise becomes an answer in `alchemyst.errors.Answered`, outside. Nothing of the body has
been read by then.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from channels.db import database_sync_to_async
from rest_framework.exceptions import NotAuthenticated, Throttled

from alchemyst.accounts import limits
from alchemyst.accounts.authentication import NO_CREDENTIAL, checked, token_in
from alchemyst.accounts.memory import memory
from alchemyst.accounts.permissions import refuse_without
from alchemyst.logs import App, Receive, Scope, Send

# Unknown tokens wait for these threads, not for the ones that serve pages.
_checked = database_sync_to_async(
    checked,
    thread_sensitive=False,
    executor=ThreadPoolExecutor(2, thread_name_prefix="bearer"),
)


class Bearer:
    """Lets through whoever has a token with the scope: `scope["user"]` and `scope["access"]`.

    A token that is remembered costs no thread and no database.
    """

    def __init__(self, app: App, *, scope: str) -> None:
        self.app = app
        self.required_scope = scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            raise NotAuthenticated(NO_CREDENTIAL)
        token = token_in(given[0])
        access = memory.recall(token) or await _checked(token)
        refuse_without(self.required_scope, access)
        scope["user"], scope["access"] = access.user, access
        await self.app(scope, receive, send)


class RateLimited:
    """Lets a user through as often as the limit of that name says. It stands behind `Bearer`."""

    def __init__(self, app: App, *, limit: str) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = await limits.ahit(self.limit, str(scope["user"].pk))
        if wait:
            raise Throttled(wait)
        await self.app(scope, receive, send)
