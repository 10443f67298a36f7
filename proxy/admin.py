"""The proxy's usage and the stored providers, for staff. No key is shown or taken here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from proxy.common.web import csv_export
from proxy.common.web.admin import LedgerAdmin, ReadWithReason, StaffAdmin, one_of
from proxy.filtering.inspector import recorded_view
from proxy.models import Budget, DecisionRecord, Price, Provider, UsageRecord, UsageRollup
from proxy.models.budget import NANOS
from proxy.models.rollup import SUMS
from proxy.relevance import modes

MOST_LINES = 100_000
FILTERINGS = ("filtered", "unchanged", "shadow", "off", "failed", "too_slow", "undone")


def _counts_of(usage: UsageRecord | UsageRollup) -> str:
    """Return what providers counted, each with its word; what they did not is left out."""
    counts = {
        "in": usage.prompt_tokens,
        "cached": usage.cached_tokens,
        "written": usage.written_tokens,
        "out": usage.completion_tokens,
        "reasoning": usage.reasoning_tokens,
    }
    return " · ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "–"


@admin.register(UsageRecord)
class UsageRecordAdmin(LedgerAdmin):
    list_display = [
        "created",
        "caller",
        "target",
        "model",
        "mode",
        "tokens",
        "reported_tokens",
        "cache_mode",
        "dollars",
        "status",
        "outcome",
    ]
    list_select_related = ["caller"]
    list_filter = [
        one_of("outcome", *UsageRecord.Outcome.values),
        one_of("mode", *modes.NAMES),
        one_of("filtering", *FILTERINGS),
        "created",
    ]
    search_fields = ["=request_id"]
    search_help_text = "A request's id, or a user's whole name or e-mail address"
    owner_field = "caller"

    @admin.display(description="Tokens (sent of received)")
    def tokens(self, record: UsageRecord) -> str:
        return f"{record.tokens_after} of {record.tokens_before}"

    @admin.display(description="By the provider")
    def reported_tokens(self, record: UsageRecord) -> str:
        return _counts_of(record)

    @admin.display(description="Cost")
    def dollars(self, record: UsageRecord) -> str:
        return "–" if record.cost is None else f"${record.cost / NANOS:.6f}"


@admin.register(UsageRollup)
class UsageRollupAdmin(LedgerAdmin):
    """What was used, added up; a sheet of what is chosen can be taken along."""

    list_display = [
        "starts",
        "caller",
        "model",
        "target",
        "persona",
        "requests",
        "errors",
        "tokens",
        "reported_tokens",
    ]
    list_select_related = ["caller"]
    list_filter = [one_of("period", *UsageRollup.Period.values), "starts"]
    search_help_text = "A user's whole name or e-mail address, or a model"
    search_fields = ["=model"]
    owner_field = "caller"
    actions = ["as_sheet"]

    @admin.display(description="Tokens (sent of received)")
    def tokens(self, rollup: UsageRollup) -> str:
        return f"{rollup.tokens_after:,} of {rollup.tokens_before:,}"

    @admin.display(description="By the provider")
    def reported_tokens(self, rollup: UsageRollup) -> str:
        return _counts_of(rollup)

    @admin.action(description="Download as CSV")
    def as_sheet(self, request: HttpRequest, queryset: QuerySet[UsageRollup]) -> HttpResponse:
        names = ["period", "starts", "caller__username", "key_id", "model", "target", "persona"]
        rows = queryset.values_list(*names, *SUMS)[:MOST_LINES]
        text = "".join(csv_export.csv_lines([*names, *SUMS], rows.iterator(chunk_size=1000)))
        answer = HttpResponse(text, content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="usage.csv"'
        return answer


@admin.register(DecisionRecord)
class DecisionRecordAdmin(ReadWithReason, LedgerAdmin):
    """What the filter kept and dropped of a request; its texts, where kept, for a reason."""

    list_display = ["created", "owner", "model", "mode", "result", "messages", "tokens"]
    list_select_related = ["owner"]
    list_filter = [one_of("result", *FILTERINGS), one_of("mode", *modes.NAMES), "created"]
    search_fields = ["=request_id"]
    search_help_text = "A request's id, or a user's whole name or e-mail address"
    owner_field = "owner"
    exclude = ["packed"]
    change_form_after_template = "staff/decision_messages.html"
    read_permission = "proxy.read_decisionrecord"
    read_template = "staff/decision.html"

    def texts_of(self, row: DecisionRecord) -> dict[str, Any]:
        return {"given": recorded_view(row)}

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the decisions without a word of the messages, and the way to the words."""
        record = self.get_object(request, object_id)
        fields = {}
        if record is not None and self.has_view_permission(request, record):
            fields = {
                "given": recorded_view(record, with_texts=False),
                "may_read": self.may_read(request),
            }
        return super().change_view(request, object_id, form_url, (extra_context or {}) | fields)

    @admin.display(description="Messages (sent of received)")
    def messages(self, record: DecisionRecord) -> str:
        return f"{record.messages_after} of {record.messages_before}"

    @admin.display(description="Tokens (sent of received)")
    def tokens(self, record: DecisionRecord) -> str:
        return f"{record.tokens_after} of {record.tokens_before}"


class ProviderForm(forms.ModelForm):
    def clean_is_shared(self) -> bool:
        """Refuse to share a second provider of one name: the name itself is no field here."""
        is_shared: bool = self.cleaned_data["is_shared"]
        others = Provider.objects.filter(is_shared=True, name=self.instance.name)
        if is_shared and others.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("A provider of this name is shared already.")
        return is_shared


@admin.register(Provider)
class ProviderAdmin(StaffAdmin):
    """Stored by the API, since a key is sealed there; here one can be shared, or deleted."""

    form = ProviderForm
    list_display = ["name", "owner", "is_shared", "dialect", "base_url", "key", "created"]
    list_select_related = ["owner"]
    list_filter = ["is_shared", "dialect", "created"]
    search_fields = ["name", "base_url", "owner__username", "owner__email"]
    fields = ["name", "owner", "is_shared", "cost", "dialect", "base_url", "key", "created"]
    readonly_fields = ["name", "owner", "dialect", "base_url", "key", "created"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="Key")
    def key(self, provider: Provider) -> str:
        return f"…{provider.key_hint}" if provider.key_hint else "stored"


@admin.register(Price)
class PriceAdmin(StaffAdmin):
    """Prices in versions: a change adds a row that counts from its day on, and leaves the old one.

    Usage names the row that it was billed by, so no row is changed or deleted.
    """

    list_display = [
        "host",
        "model",
        "input",
        "cached",
        "write",
        "hour_write",
        "output",
        "lifetime",
        "since",
        "own",
    ]
    list_filter = ["is_shipped", "host", "since"]
    search_fields = ["host", "model"]

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        obj.pk, obj.is_shipped, obj._state.adding = None, False, True
        super().save_model(request, obj, form, change=False)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="Own", boolean=True, ordering="is_shipped")
    def own(self, price: Price) -> bool:
        return not price.is_shipped


@admin.register(Budget)
class BudgetAdmin(StaffAdmin):
    """What somebody may spend, and has spent in the present period."""

    list_display = ["who", "period", "limit", "spent_dollars", "starts", "note"]
    list_select_related = ["user", "group"]
    list_filter = ["period"]
    search_fields = ["user__username", "group__name", "key_id", "note"]
    autocomplete_fields = ["user", "group"]
    readonly_fields = ["starts", "spent_dollars"]

    @admin.display(description="Who")
    def who(self, budget: Budget) -> str:
        return str(budget.user or budget.group or budget.key_id)

    @admin.display(description="Spent", ordering="spent")
    def spent_dollars(self, budget: Budget) -> str:
        return f"${budget.spent / NANOS:.4f}"
