"""The proxy's usage and the stored providers, for staff. No key is shown or taken here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from proxy.models import DecisionRecord, Provider, UsageRecord


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


class ProviderForm(forms.ModelForm):
    def clean_is_shared(self) -> bool:
        """Refuse to share a second provider of one name: the name itself is no field here."""
        is_shared: bool = self.cleaned_data["is_shared"]
        others = Provider.objects.filter(is_shared=True, name=self.instance.name)
        if is_shared and others.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("A provider of this name is shared already.")
        return is_shared


@admin.register(DecisionRecord)
class DecisionRecordAdmin(LedgerAdmin):
    """That there is a record, and its numbers; what it holds, its owner alone may read."""

    list_display = ["created", "owner", "model", "mode", "result", "messages", "tokens"]
    list_select_related = ["owner"]
    list_filter = ["result", "mode", "created"]
    search_fields = ["request_id", "owner__username", "model"]
    date_hierarchy = "created"
    show_full_result_count = False
    exclude = ["packed"]

    @admin.display(description="Messages (sent of received)", ordering="messages_before")
    def messages(self, record: DecisionRecord) -> str:
        return f"{record.messages_after} of {record.messages_before}"

    @admin.display(description="Tokens (sent of received)", ordering="tokens_before")
    def tokens(self, record: DecisionRecord) -> str:
        return f"{record.tokens_after} of {record.tokens_before}"


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):
    """Stored by the API, since a key is sealed there; here one can be shared, or deleted."""

    form = ProviderForm
    list_display = ["name", "owner", "is_shared", "dialect", "base_url", "key", "created"]
    list_select_related = ["owner"]
    list_filter = ["is_shared", "dialect", "created"]
    search_fields = ["name", "base_url", "owner__username", "owner__email"]
    date_hierarchy = "created"
    fields = ["name", "owner", "is_shared", "dialect", "base_url", "key", "created"]
    readonly_fields = ["name", "owner", "dialect", "base_url", "key", "created"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="Key")
    def key(self, provider: Provider) -> str:
        return f"…{provider.key_hint}" if provider.key_hint else "stored"
