"""API keys: they can be revoked here, never read or made."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from alchemyst.accounts.models import ApiKey


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
class ApiKeyAdmin(ModelAdmin):
    """Deleting a key revokes it at once."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    list_display = [
        "name",
        "masked_key",
        "owner",
        "scope_names",
        "last_used",
        "expires_at",
        "created",
    ]
    list_select_related = ["owner"]
    list_filter = [AliveFilter, "created", "last_used"]
    list_filter_submit = True
    search_fields = ["name", "prefix", "owner__username", "owner__email"]
    fields = [
        "name",
        "masked_key",
        "owner",
        "scope_names",
        "relevance",
        "cost",
        "allowed_models",
        "allowed_hosts",
        "records",
        "keeps_chats",
        "created",
        "last_used",
        "expires_at",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @admin.display(description="Key", ordering="prefix")
    def masked_key(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @admin.display(description="Scopes")
    def scope_names(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)
