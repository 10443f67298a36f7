"""The audit log: read, never written here."""

from __future__ import annotations

from django.contrib import admin

from alchemyst.accounts.models import AuditEntry
from proxy.common.web.admin import LedgerAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(LedgerAdmin):
    list_display = ["created", "actor_name", "action", "thing", "thing_name", "about", "reason"]
    list_select_related = ["about"]
    list_filter = ["created", "is_shown"]
    search_fields = ["=actor_name", "=thing_id", "=thing_name"]
