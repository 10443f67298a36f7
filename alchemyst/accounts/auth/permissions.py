"""What a token may do: the scope that a view asks for in `required_scope`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from alchemyst.accounts.auth.access import Access
from alchemyst.accounts.auth.authentication import caller

# These classes stand in settings, which DRF reads while it imports its views.
if TYPE_CHECKING:
    from rest_framework.views import APIView


def refuse_without(scope: str, access: Access) -> None:
    """Raise PermissionDenied unless `access` has the scope."""
    if scope not in access.scopes:
        raise PermissionDenied(f"This key lacks the scope '{scope}'. Use one that has it.")


class HasScope(BasePermission):
    """Asks for the view's `required_scope`; a view without one is for every caller."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        scope: str | None = getattr(view, "required_scope", None)
        if scope is None:
            return True
        if request.auth is None:
            return False
        refuse_without(scope, caller(request))
        return True


class RegistrationIsOpen(BasePermission):
    """Lets strangers make an account where the operator allows it."""

    message = "Registration is closed here. Ask the operator for an account."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return settings.REGISTRATION_OPEN
