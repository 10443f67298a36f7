"""The admin's site: who may come in, what is recorded of each change, and the first page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.sites import UnfoldAdminSite

from alchemyst.accounts.models import AuditEntry, User
from alchemyst.operations.filter_switch import set_filter_switch
from alchemyst.staff import configuration, dashboard
from proxy.models import FilterSwitch


class Audited:
    """Mixed into every admin class: each change of a row leaves an entry in the audit log."""

    admin_site: StaffSite

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self.admin_site.note(request, "added", obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        changed = [name for part in message for name in part.get("changed", {}).get("fields", [])]
        reason = f"fields: {', '.join(changed)}" if changed else ""
        self.admin_site.note(request, "changed", obj, reason=reason)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for row in queryset:
            self.admin_site.note(request, "deleted", row)
        return super().log_deletions(request, queryset)  # type: ignore[misc]


class StaffSite(UnfoldAdminSite):
    """The one admin site; whatever is registered with it is audited."""

    site_header = site_title = "Alchemyst"
    index_title = "Overview"
    index_template = "staff/index.html"
    enable_nav_sidebar = True

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin] | None = None,
        **options: Any,
    ) -> None:
        kind = admin_class or ModelAdmin
        audited = type(kind.__name__, (Audited, kind), {"__module__": kind.__module__})
        super().register(model_or_iterable, audited, **options)

    def note(
        self,
        request: HttpRequest,
        action: str,
        row: Model | None = None,
        *,
        reason: str = "",
        is_shown: bool = False,
    ) -> None:
        """Record what the member of staff did to a row, and whose that is."""
        about = row if isinstance(row, User) else getattr(row, "owner", getattr(row, "user", None))
        AuditEntry.note(request.user, action, row, about=about, reason=reason, is_shown=is_shown)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show the last month in charts, drawn from the sums of usage."""
        charts = dashboard.context_for(request.user)
        return super().index(request, {**(extra_context or {}), **charts})

    def extra_urls(self) -> list[URLPattern]:
        return [
            path("switch/", self.admin_view(self.switch), name="switch"),
            path("configuration/", self.admin_view(self.configuration), name="configuration"),
        ]

    def configuration(self, request: HttpRequest) -> HttpResponse:
        """Show each setting, its value and where that came from; of a secret, that it is set."""
        if not request.user.is_superuser:
            raise PermissionDenied
        context = {
            **self.each_context(request),
            "title": "Configuration",
            "rows": configuration.effective(),
            "versions": configuration.versions(),
        }
        return TemplateResponse(request, "staff/configuration.html", context)

    def switch(self, request: HttpRequest) -> HttpResponse:
        """Turn the filter off or on for the whole installation."""
        if not request.user.has_perm("proxy.change_filterswitch"):
            raise PermissionDenied
        switch = FilterSwitch.objects.filter(pk=FilterSwitch.ONLY).first() or FilterSwitch()
        if request.method == "POST":
            off = request.POST.get("state") == "off"
            set_filter_switch(request.user, off=off, reason=request.POST.get("reason", ""))
            message = "Requests pass unfiltered" if off else "Requests are filtered again"
            messages.success(request, f"{message}, in every process within five seconds.")
            return HttpResponseRedirect(reverse("admin:switch"))
        context = {**self.each_context(request), "title": "Filter", "switch": switch}
        return TemplateResponse(request, "staff/switch.html", context)
