"""Who is calling: one function turns a bearer token into an `Access`, wherever it came in.

A token is a JWT access token, which may do everything that its user may, or a personal API key,
which may do what its scopes say. Every refusal has the same text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from alchemyst.accounts.auth import jwt
from alchemyst.accounts.auth.access import Access
from alchemyst.accounts.auth.token_cache import cached_tokens
from alchemyst.accounts.models import KEY_PREFIX, SCOPES, ApiKey, Limit, User

NO_CREDENTIAL = "Give one token, and nothing else: Authorization: Bearer <token>"
ALL_SCOPES = frozenset(SCOPES)


def authenticate(token: bytes) -> Access:
    """Return what `token` allows; raise AuthenticationFailed if that is nothing."""
    return cached_tokens.get(token) or authenticate_uncached(token)


def authenticate_uncached(token: bytes) -> Access:
    """Do the same by a query of the database, and cache the result."""
    generation = cached_tokens.generation
    try:
        text = token.decode("ascii")
    except UnicodeDecodeError:
        raise AuthenticationFailed(jwt.REFUSED)
    access = _of_key(text) if text.startswith(KEY_PREFIX) else _of_jwt(text)
    cached_tokens.put(token, access, generation=generation)
    return access


def token_in(header: bytes) -> bytes:
    """Return the token in the value of an Authorization header."""
    scheme, _, token = header.strip().partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or b" " in token or len(token) > jwt.LONGEST:
        raise AuthenticationFailed(NO_CREDENTIAL)
    return token


def _of_jwt(text: str) -> Access:
    token = jwt.access_in(text)
    user = jwt.user_of(token)
    limits = Limit.objects.limits_on(user.pk, None)
    return Access(
        user,
        _scopes(user),
        user.relevance,
        None,
        float(token["exp"]),
        limits=limits,
        cost=user.cost,
    )


def _of_key(text: str) -> Access:
    now = datetime.now(UTC)
    key = ApiKey.objects.alive(now).for_secret(text).first()
    if not key:
        raise AuthenticationFailed(jwt.REFUSED)
    key.note_use(now)
    return Access(
        user=key.owner,
        scopes=frozenset(key.scopes) & _scopes(key.owner),
        relevance=key.relevance or key.owner.relevance,
        key_id=key.pk,
        expires=key.expires_at.timestamp() if key.expires_at else float("inf"),
        allowed_models=None if key.allowed_models is None else tuple(key.allowed_models),
        allowed_hosts=None if key.allowed_hosts is None else tuple(key.allowed_hosts),
        records=key.records,
        keeps_chats=key.keeps_chats,
        cost=key.cost or key.owner.cost,
        limits=Limit.objects.limits_on(key.owner_id, key.pk),
    )


def signed_in(request: HttpRequest) -> User:
    """Return whose session a page was asked with, behind `login_required`."""
    return cast("User", request.user)


def _scopes(user: User) -> frozenset[str]:
    return ALL_SCOPES & frozenset(user.scopes)


def caller(request: Request) -> Access:
    """Return who is calling a DRF view that asks for a token."""
    return cast("Access", request.auth)


class BearerAuthentication(BaseAuthentication):
    """For DRF: `request.user` is the caller, `request.auth` the Access."""

    def authenticate(self, request: Request) -> tuple[User, Access] | None:
        header: str | None = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        access = authenticate(token_in(header.encode("latin-1", "replace")))
        return access.user, access

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
