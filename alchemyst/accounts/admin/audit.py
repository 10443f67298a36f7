"""The audit log: read, never written here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from alchemyst.accounts.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    actions: Any = None
    list_display = ["created", "actor_name", "action", "thing", "thing_name", "about", "reason"]
    list_select_related = ["about"]
    list_filter = ["created", "is_shown"]
    list_filter_submit = True
    search_fields = ["=actor_name", "=thing_id", "=thing_name"]
    ordering = ["-pk"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
