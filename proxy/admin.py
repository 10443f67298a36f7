"""The proxy's usage, for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from proxy.models import UsageRecord


class LedgerAdmin(admin.ModelAdmin):
    """An admin for rows that the program writes and nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(UsageRecord)
class UsageRecordAdmin(LedgerAdmin):
    list_display = ["created", "caller", "target", "model", "mode", "tokens", "status", "outcome"]
    list_select_related = ["caller"]
    list_filter = ["outcome", "mode", "filtering", "created"]
    search_fields = ["request_id", "caller__username", "target", "model"]
    date_hierarchy = "created"
    show_full_result_count = False

    @admin.display(description="Tokens (sent of received)", ordering="tokens_before")
    def tokens(self, record: UsageRecord) -> str:
        return f"{record.tokens_after} of {record.tokens_before}"
