"""JWTs: access tokens for minutes, refresh tokens for days, and the session that joins them.

Built on simplejwt's tokens, which check signature, algorithm, times, issuer, audience and type.
Its views and serializers are not used, because there (5.5.1)

- a refresh does not look at the password, answers 500 for a deleted user, and lets two that
  come at once both pass;
- verify accepts the tokens of a user who was switched off;
- each refresh token's full text is kept in the database and shown in the admin;
- a logout leaves the access token alive.

Each sign-in is a session with an id, which all its tokens carry. Refused ids, of one refresh
token or of a whole session, stand in simplejwt's blacklist.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import uuid4

from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.db.models import Exists
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from alchemyst.accounts.auth.token_cache import forget
from alchemyst.accounts.models import User

REFUSED = "This token is invalid, expired or revoked. Sign in again, or use another API key."
# Longer than any token that we make; a longer one is not even looked at.
LONGEST = 8192
# The database's integers have 19 digits at most.
LONGEST_ID = 19

# Two claims of our own: the session, and Django's keyed hash for its own sessions, which changes
# with the password and tells nothing about it.
SESSION = "session"
HASH = "auth_hash"

Kind = TypeVar("Kind", bound=Token)


class Access(AccessToken):
    """An access token that does not say when it was made.

    PyJWT refuses one that was made in its future, so a clock that is set back, or another machine's
    that is a little behind, would sign everybody out.
    """

    def set_iat(self, claim: str = "iat", at_time: datetime | None = None) -> None:
        self.payload.pop(claim, None)


class Refresh(RefreshToken):
    """A refresh token, for the same reason without the time of its making."""

    access_token_class = Access

    def set_iat(self, claim: str = "iat", at_time: datetime | None = None) -> None:
        self.payload.pop(claim, None)


@dataclass(frozen=True)
class TokenPair:
    """What a sign-in and each refresh hand out."""

    access: str
    refresh: str

    def __repr__(self) -> str:
        return "<TokenPair>"


def issue(user: User) -> TokenPair:
    """Begin a session for `user`."""
    # Nobody else would: what has expired needs no refusing any more.
    OutstandingToken.objects.filter(user_id=user.pk, expires_at__lt=timezone.now()).delete()
    update_last_login(User, user)
    refresh = Refresh()
    refresh["user_id"] = str(user.pk)
    refresh[SESSION] = uuid4().hex
    refresh[HASH] = user.get_session_auth_hash()
    return TokenPair(str(refresh.access_token), str(refresh))


def rotate(text: str) -> TokenPair:
    """Exchange a refresh token for a new pair. Of two that come at once, one is refused."""
    refresh = refresh_in(text)
    with transaction.atomic():
        _use_up(refresh)
    refresh.set_jti()
    refresh.set_exp()
    refresh.set_iat()
    return TokenPair(str(refresh.access_token), str(refresh))


def end_session(text: str) -> None:
    """Refuse every token of the session that this refresh token belongs to."""
    refresh = refresh_in(text)
    with transaction.atomic():
        user = _use_up(refresh)
        _refuse(refresh[SESSION], user)
    forget(user.pk)


def access_in(text: str | bytes) -> Access:
    """Return the sound access token in `text`; who holds it is another question."""
    return _parse(Access, text)


def refresh_in(text: str) -> Refresh:
    """Return the sound refresh token in `text`, if it was not used or revoked before."""
    return _parse(Refresh, text)


def user_of(token: Token) -> User:
    """Return the user of a sound token, if account, password and session are as they were."""
    user_id, session, mark = (str(token.get(claim, "")) for claim in ("user_id", SESSION, HASH))
    if session and user_id.isdecimal() and len(user_id) < LONGEST_ID:
        is_over = Exists(BlacklistedToken.objects.filter(token__jti=session))
        user = User.objects.filter(~is_over, pk=user_id, is_active=True).first()
        if user and constant_time_compare(mark, user.get_session_auth_hash()):
            return user
    raise AuthenticationFailed(REFUSED)


def _parse(kind: type[Kind], text: str | bytes) -> Kind:
    if len(text) > LONGEST:
        raise AuthenticationFailed(REFUSED)
    try:
        return kind(text)  # type: ignore[arg-type]  # simplejwt annotates it as a Token
    # Besides simplejwt's own: a header of brackets in brackets is more than the JSON reader
    # stands, and a claim may have any type.
    except (TokenError, RecursionError, OverflowError, TypeError, ValueError):
        raise AuthenticationFailed(REFUSED)


def _use_up(refresh: Refresh) -> User:
    """Return whose token this is, and refuse it from now on."""
    user = user_of(refresh)
    if not _refuse(refresh["jti"], user):
        raise AuthenticationFailed(REFUSED)
    return user


def _refuse(jti: str, user: User) -> bool:
    """Refuse an id from now on; return False if it was refused before."""
    row, _ = OutstandingToken.objects.get_or_create(
        jti=jti,
        defaults={
            "user_id": user.pk,
            "created_at": timezone.now(),
            # Past the end of any token that may carry this id.
            "expires_at": timezone.now() + 2 * RefreshToken.lifetime,
        },
    )
    _, is_new = BlacklistedToken.objects.get_or_create(token=row)
    return is_new
