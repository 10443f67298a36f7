"""Limits of users, groups and API keys."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from alchemyst.accounts.models import Limit
from alchemyst.accounts.models.limit import KINDS


@admin.register(Limit)
class LimitAdmin(ModelAdmin):
    list_display = ["whose", *KINDS, "note"]
    list_select_related = ["user", "group", "key"]
    search_fields = ["user__username", "group__name", "key__name", "note"]
    autocomplete_fields = ["user", "group", "key"]
    fieldsets = [
        ("Whose", {"fields": ["user", "group", "key", "is_shared"]}),
        ("How much", {"fields": [*KINDS, "note"]}),
    ]

    @admin.display(description="Limit of")
    def whose(self, limit: Limit) -> str:
        if limit.group:
            return f"group {limit.group}, {'together' if limit.is_shared else 'each member'}"
        return f"user {limit.user}" if limit.user else f"key {limit.key}"
