"""Who is calling, and what they may: what the apps know of it, whoever lets callers in."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol, cast
from uuid import UUID

from django.http import HttpRequest
from rest_framework.request import Request


class User(Protocol):
    """Whose the rows are that a caller may see."""

    @property
    def pk(self) -> int: ...

    @property
    def is_staff(self) -> bool: ...

    @property
    def relevance(self) -> str:
        """The user's relevance mode; "" if none was chosen."""

    @property
    def cost(self) -> str:
        """The user's cost preset; "" if none was chosen."""


class Access(Protocol):
    """What a token, or a session, allows."""

    @property
    def user(self) -> User: ...

    @property
    def scopes(self) -> frozenset[str]: ...

    @property
    def relevance(self) -> str:
        """The relevance mode that was chosen; "" if none was."""

    @property
    def cost(self) -> str:
        """The cost preset that was chosen; "" if none was."""

    @property
    def key_id(self) -> UUID | None:
        """The API key's id; None where there is no key."""

    @property
    def allowed_models(self) -> tuple[str, ...] | None:
        """The models that may be used; None for any."""

    @property
    def allowed_hosts(self) -> tuple[str, ...] | None:
        """The hosts that requests may go to; None for any."""

    @property
    def records(self) -> str:
        """What is kept of the filter's decisions; "" for nothing."""

    @property
    def keeps_chats(self) -> bool:
        """Whether the conversations are kept as chats."""


class Identity(Protocol):
    """The caller of one socket, who is looked at again and again."""

    may_have_session: bool

    async def by_token(self, token: str) -> Access:
        """Return what a token allows; raises APIException."""

    async def again(self) -> Access:
        """Return what the caller may do now; raises APIException."""

    async def count(self, limit: str, user_id: int) -> None:
        """Count an action; raises APIException."""


def grant(scope: MutableMapping[str, Any], access: Access) -> None:
    """Let an ASGI application know who calls."""
    scope["user"], scope["access"] = access.user, access


def access_of(scope: MutableMapping[str, Any]) -> Access:
    """Return what the caller of an ASGI application may."""
    return cast("Access", scope["access"])


def access_of_request(request: Request) -> Access:
    """Return what the caller of a DRF view that asks for a token may."""
    return cast("Access", request.auth)


def user_of(request: HttpRequest | Request) -> User:
    """Return whose request it is, behind what asks for a sign-in or a token."""
    return cast("User", request.user)


def id_of(user: User | int) -> int:
    """Return the id of a user, given by it or whole."""
    return user if isinstance(user, int) else user.pk
