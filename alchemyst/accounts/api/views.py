"""The accounts API: an account, a session, the keys of one's programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from django.contrib.auth import authenticate
from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from alchemyst.accounts.api.serializers import (
    ApiKeySerializer,
    CredentialsSerializer,
    EmptySerializer,
    ErrorSerializer,
    NewApiKeySerializer,
    PairSerializer,
    RefreshSerializer,
    RegisterSerializer,
    VerifySerializer,
)
from alchemyst.accounts.auth import jwt
from alchemyst.accounts.auth.access import Access
from alchemyst.accounts.auth.authentication import authenticate as authenticate_token
from alchemyst.accounts.auth.authentication import caller
from alchemyst.accounts.auth.permissions import RegistrationIsOpen
from alchemyst.accounts.limits.throttles import sign_in
from alchemyst.accounts.models import MOST_KEYS, ApiKey, User
from proxy.common import host_patterns
from proxy.common.web.drf import Conflict

WRONG_CREDENTIALS = "Username or password is wrong, or the account is switched off."


def responses(*errors: int, **success: Any) -> dict[int, Any]:
    """Return what an endpoint may answer, for the schema."""
    return {int(name[1:]): body for name, body in success.items()} | dict.fromkeys(
        (*errors, 429), ErrorSerializer
    )


class OpenView(GenericAPIView[Any]):
    """A view for strangers. An Authorization header that they happen to send is ignored."""

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = ()

    def get_authenticate_header(self, request: Request) -> str:
        # Without it DRF turns each of our 401 into a 403.
        return "Bearer"

    def valid_fields(self, request: Request) -> dict[str, Any]:
        """Return the request's validated fields, or raise ValidationError."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return cast("dict[str, Any]", serializer.validated_data)


class RegisterView(OpenView):
    """Make an account."""

    serializer_class = RegisterSerializer
    permission_classes = (RegistrationIsOpen,)

    @extend_schema(
        operation_id="register", responses=responses(400, 403, 409, _201=RegisterSerializer)
    )
    def post(self, request: Request) -> Response:
        fields = self.valid_fields(request)
        try:
            with transaction.atomic():
                user = User.objects.create_user(**fields)
        except IntegrityError:
            raise Conflict({"username": ["This username is taken."]})
        return Response(RegisterSerializer(user).data, status=status.HTTP_201_CREATED)


class TokenView(OpenView):
    """Sign in: an access token for minutes, and a refresh token to get the next one."""

    serializer_class = CredentialsSerializer

    @extend_schema(operation_id="token", responses=responses(400, 401, _200=PairSerializer))
    def post(self, request: Request) -> Response:
        fields = self.valid_fields(request)
        with sign_in(request, fields["username"]):
            user = authenticate(request, **fields)
            if not isinstance(user, User):
                raise AuthenticationFailed(WRONG_CREDENTIALS)
        return Response(PairSerializer(jwt.issue(user)).data)


class RefreshView(OpenView):
    """Exchange a refresh token for a new pair. The old one is refused from then on."""

    serializer_class = RefreshSerializer

    @extend_schema(operation_id="token_refresh", responses=responses(400, 401, _200=PairSerializer))
    def post(self, request: Request) -> Response:
        return Response(PairSerializer(jwt.rotate(self.valid_fields(request)["refresh"])).data)


class VerifyView(OpenView):
    """Say whether a token would be accepted now: an access token, a refresh token or an API key."""

    serializer_class = VerifySerializer

    @extend_schema(operation_id="token_verify", responses=responses(400, 401, _200=EmptySerializer))
    def post(self, request: Request) -> Response:
        token: str = self.valid_fields(request)["token"]
        try:
            authenticate_token(token.encode())
        except AuthenticationFailed:
            jwt.user_of(jwt.refresh_in(token))
        return Response({})


class LogoutView(OpenView):
    """End a session: its refresh token and its access tokens are refused from now on."""

    serializer_class = RefreshSerializer

    @extend_schema(operation_id="logout", responses=responses(400, 401, _204=None))
    def post(self, request: Request) -> Response:
        jwt.end_session(self.valid_fields(request)["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class KeysView(GenericAPIView[ApiKey]):
    """The caller's API keys."""

    serializer_class = ApiKeySerializer
    pagination_class = None

    @extend_schema(operation_id="keys", responses=responses(401, _200=ApiKeySerializer(many=True)))
    def get(self, request: Request) -> Response:
        """List the keys, newest first, without their texts."""
        return Response(ApiKeySerializer(ApiKey.objects.of(caller(request).user), many=True).data)

    @extend_schema(
        operation_id="new_key", responses=responses(400, 401, 403, 409, _201=NewApiKeySerializer)
    )
    def post(self, request: Request) -> Response:
        """Make a key. Its text is in this answer, and never shown again."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields = serializer.validated_data
        refuse_more_than(caller(request), {"expires_at": None} | fields)
        if not ApiKey.objects.has_room_for(caller(request).user):
            raise Conflict({"errors": [f"You have {MOST_KEYS} keys. Delete one first."]})

        key, text = ApiKey.make(caller(request).user, **fields)
        body = {"key": text} | ApiKeySerializer(key).data
        return Response(body, status=status.HTTP_201_CREATED)


class KeyView(GenericAPIView[ApiKey]):
    """One of the caller's API keys."""

    serializer_class = ApiKeySerializer

    @extend_schema(
        operation_id="change_key", responses=responses(400, 401, 403, 404, _200=ApiKeySerializer)
    )
    def patch(self, request: Request, key_id: str) -> Response:
        """Change what is given: its text stays, scopes may only become fewer."""
        own = ApiKey.objects.of(caller(request).user)
        with transaction.atomic():
            key = get_object_or_404(own.select_for_update(), pk=key_id)
            serializer = self.get_serializer(key, data=request.data, partial=True)
            serializer.is_valid(raise_exception=True)
            refuse_more_than(caller(request), serializer.validated_data)
            serializer.save()
        return Response(serializer.data)

    @extend_schema(operation_id="delete_key", responses=responses(401, 404, _204=None))
    def delete(self, request: Request, key_id: str) -> Response:
        """Revoke a key: it is refused from now on."""
        get_object_or_404(ApiKey.objects.of(caller(request).user), pk=key_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def refuse_more_than(access: Access, fields: dict[str, Any]) -> None:
    """Raise PermissionDenied if a key made or changed so could do more, or live longer."""
    if beyond := sorted(set(fields.get("scopes", ())) - access.scopes):
        raise PermissionDenied(f"This key lacks {', '.join(beyond)}, so it can't hand that on.")
    if access.key_id is None:
        return
    for name, covers in (("allowed_models", covers_model), ("allowed_hosts", host_patterns.covers)):
        own = getattr(access, name)
        if name in fields and own is not None and not is_within(fields[name], own, covers):
            raise PermissionDenied(f"This key has a list of {name}; name some of them, no others.")
    if "expires_at" in fields:
        ends = fields["expires_at"]
        if (ends.timestamp() if ends else float("inf")) > access.expires:
            raise PermissionDenied("This key expires, so it can't let one live longer.")


def is_within(
    entries: Sequence[str] | None, own: Sequence[str], covers: Callable[[str, str], bool]
) -> bool:
    """Whether the list `entries` permits nothing that the list `own` does not."""
    return entries is not None and all(any(covers(mine, each) for mine in own) for each in entries)


def covers_model(own: str, entry: str) -> bool:
    """Whether the entry `own` permits all that the entry `entry` does."""
    return entry == own or (own.endswith("*") and entry.startswith(own[:-1]))
