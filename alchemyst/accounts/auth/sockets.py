"""Who is calling on a WebSocket: by a token or a page's session, checked again while it is open."""

from __future__ import annotations

from urllib.parse import ParseResult

from channels.security.websocket import OriginValidator
from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, Throttled

from alchemyst.accounts.auth.access import Access
from alchemyst.accounts.auth.asgi import authenticate_on_thread, of_session_on_thread
from alchemyst.accounts.auth.authentication import NO_CREDENTIAL
from alchemyst.accounts.auth.jwt import LONGEST
from alchemyst.accounts.auth.permissions import refuse_without
from alchemyst.accounts.limits import rate
from proxy.common import access
from proxy.common.web.asgi import App, Receive, Scope, Send


class Identity:
    """The caller of one socket. Each check queries the database: a socket may outlive its token."""

    def __init__(self, scope: Scope, *, required_scope: str) -> None:
        self._scope = scope
        self._required_scope = required_scope
        self._token: bytes | None = None
        names = {name for name, _ in scope["headers"]}
        # Only a browser sends cookies on its own, and it always says from which page.
        self.may_have_session = {b"cookie", b"origin"} <= names

    async def by_token(self, token: str) -> Access:
        """Return what a token allows; raises AuthenticationFailed or PermissionDenied."""
        if len(token) > LONGEST:
            raise AuthenticationFailed(NO_CREDENTIAL)
        self._token = token.encode("ascii", "replace")
        return await self.again()

    async def again(self) -> Access:
        """Return what the caller may do now; raises as soon as that is nothing."""
        if self._token is not None:
            current = await authenticate_on_thread(self._token)
        elif self.may_have_session:
            current = await of_session_on_thread({**self._scope, "type": "http", "method": "GET"})
        else:
            raise NotAuthenticated(NO_CREDENTIAL)
        refuse_without(self._required_scope, current)
        return current

    async def count(self, limit: str, user_id: int) -> None:
        """Count an action; raises Throttled."""
        if wait := await rate.acheck(limit, str(user_id)):
            raise Throttled(wait)


class SocketIdentityMiddleware:
    """ASGI: gives a socket's application `scope["identity"]`."""

    def __init__(self, app: App, *, scope: str) -> None:
        self.app = app
        self.required_scope = scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity: access.Identity = Identity(scope, required_scope=self.required_scope)
        scope["identity"] = identity
        await self.app(scope, receive, send)


class OriginCheck(OriginValidator):
    """ASGI: refuses pages of other sites. A program sends no origin, and has no session either."""

    def __init__(self, app: App) -> None:
        super().__init__(app, settings.ALLOWED_HOSTS)

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        return parsed_origin is None or bool(self.validate_origin(parsed_origin))
