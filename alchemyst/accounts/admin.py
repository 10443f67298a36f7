"""Staff's view of accounts. Keys can be revoked here, never read or made."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from alchemyst.accounts.forms import AdminSignInForm
from alchemyst.accounts.models import ApiKey, User

admin.site.login_form = AdminSignInForm

# Ids of refused tokens: bookkeeping, with no question that they would answer.
admin.site.unregister([OutstandingToken, BlacklistedToken])


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ["username", "email", "is_active", "is_staff", "keys", "relevance", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser", "relevance", "date_joined"]
    date_hierarchy = "date_joined"
    ordering = ["username"]
    fieldsets = [
        *(DjangoUserAdmin.fieldsets or []),
        ("Context proxy", {"fields": ["relevance"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).annotate(key_count=Count("api_keys"))

    @admin.display(description="API keys", ordering="key_count")
    def keys(self, user: User) -> int:
        count: int = user.key_count  # type: ignore[attr-defined]
        return count


class AliveFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("alive", "accepted"), ("dead", "expired, or its owner switched off")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        alive = ApiKey.objects.alive(timezone.now()).values("pk")
        if self.value() == "alive":
            return queryset.filter(pk__in=alive)
        if self.value() == "dead":
            return queryset.exclude(pk__in=alive)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """Deleting a key revokes it at once."""

    list_display = ["name", "shown", "owner", "scope_names", "last_used", "expires_at", "created"]
    list_select_related = ["owner"]
    list_filter = [AliveFilter, "created", "last_used"]
    search_fields = ["name", "prefix", "owner__username", "owner__email"]
    date_hierarchy = "created"
    fields = [
        "name",
        "shown",
        "owner",
        "scope_names",
        "relevance",
        "allowed_models",
        "allowed_hosts",
        "records",
        "created",
        "last_used",
        "expires_at",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @admin.display(description="Key", ordering="prefix")
    def shown(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @admin.display(description="Scopes")
    def scope_names(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)
