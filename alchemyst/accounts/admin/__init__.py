"""Staff's view of accounts: people, their keys, their limits, and what staff did."""

from __future__ import annotations

from django.contrib import admin
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from alchemyst.accounts.admin import audit, groups, keys, limits, users
from alchemyst.accounts.pages.forms import AdminSignInForm

__all__ = ["audit", "groups", "keys", "limits", "users"]

admin.site.login_form = AdminSignInForm

# Ids of refused tokens: bookkeeping, with no question that they would answer.
admin.site.unregister([OutstandingToken, BlacklistedToken])
