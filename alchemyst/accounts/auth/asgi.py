"""Authentication and rate limits in front of an ASGI application.

What they raise becomes a response in `alchemyst.errors.ErrorMiddleware`, outside. Nothing of the
body has been read by then.
"""

from __future__ import annotations

from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, Throttled

from alchemyst.accounts.auth.access import Access
from alchemyst.accounts.auth.authentication import NO_CREDENTIAL, authenticate_uncached, token_in
from alchemyst.accounts.auth.permissions import refuse_without
from alchemyst.accounts.auth.sessions import of_session
from alchemyst.accounts.auth.token_cache import cached_tokens
from alchemyst.accounts.limits import rate
from alchemyst.accounts.limits.quota import QuotaReservation
from proxy.common.access import grant
from proxy.common.errors import InvalidRequest
from proxy.common.runtime.threads import on_database_thread
from proxy.common.web import key_headers
from proxy.common.web.asgi import App, Receive, Scope, Send

NO_KEY = (
    "Give an Alchemyst token in Authorization: Bearer <token>, x-api-key, api-key or "
    "x-goog-api-key."
)
NONE_OF_OURS = f"None of these keys is an Alchemyst token. {NO_KEY}"

# A flood of unknown tokens occupies two threads, and delays nobody else's queries.
authenticate_on_thread = on_database_thread(authenticate_uncached, at_most=2)
of_session_on_thread = on_database_thread(of_session, at_most=2)


class Bearer:
    """Lets through whoever has a token with the scope: `scope["user"]` and `scope["access"]`.

    A token that is cached costs no thread and no database.
    """

    def __init__(self, app: App, *, scope: str) -> None:
        self.app = app
        self.required_scope = scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = self.token_of(scope)
        access = cached_tokens.get(token) or await authenticate_on_thread(token)
        refuse_without(self.required_scope, access)
        grant(scope, access)
        await self.app(scope, receive, send)

    def token_of(self, scope: Scope) -> bytes:
        """Return the token that a request shows; raises AuthenticationFailed, NotAuthenticated."""
        values = [value for name, value in scope["headers"] if name == key_headers.AUTHORIZATION]
        if len(values) != 1:
            raise NotAuthenticated(NO_CREDENTIAL)
        return token_in(values[0])


class BearerOrKeyHeader(Bearer):
    """Lets the token stand in any header that clients of providers have a setting for.

    It is told from a provider's key, which may stand in another of them, by its form.
    """

    def token_of(self, scope: Scope) -> bytes:
        try:
            tokens = key_headers.own_in(scope)
        except InvalidRequest as error:
            raise NotAuthenticated(error.message)
        if len({each.key for each in tokens}) > 1:
            places = " and ".join(each.name.decode() for each in tokens)
            raise AuthenticationFailed(f"{places} have different Alchemyst tokens. Give one.")
        if tokens:
            return tokens[0].key.encode("latin-1")
        names = {name for name, _ in scope["headers"]}
        if key_headers.AUTHORIZATION in names:
            return super().token_of(scope)
        raise NotAuthenticated(NO_KEY if names.isdisjoint(key_headers.NAMES) else NONE_OF_OURS)


class BearerOrSession(Bearer):
    """Lets a page's visitor in too, by the session; who changes something shows the CSRF token."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope["headers"]}
        if b"authorization" in names or b"cookie" not in names:
            await super().__call__(scope, receive, send)
            return
        grant(scope, await of_session_on_thread(scope))
        await self.app(scope, receive, send)


class RateLimited:
    """Lets a user through as often as the operator's limit of that name and staff's limits say.

    It stands behind `Bearer`. Where staff have set limits, `scope["allowance"]` takes what the
    request uses of them, and releases it at its end.
    """

    def __init__(self, app: App, *, limit: str, reserves_quota: bool = True) -> None:
        self.app = app
        self.limit = limit
        self.reserves_quota = reserves_quota

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = await rate.acheck(self.limit, str(scope["user"].id))
        if wait:
            raise Throttled(wait)
        access: Access = scope["access"]
        if not (access.limits and self.reserves_quota):
            await self.app(scope, receive, send)
            return
        scope["allowance"] = reservation = QuotaReservation(access.limits)
        await reservation.acquire()
        try:
            await self.app(scope, receive, send)
        finally:
            await reservation.release()
