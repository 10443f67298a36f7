"""What the admin's pages of every app share: lists that open at once, rows that nobody edits,
texts that are read with a reason."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextInputWidget


class StaffAdmin(ModelAdmin):  # type: ignore[misc]  # The library has no types.
    """A list of any length opens at once: nothing is counted, the newest come first."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    list_filter_submit = True
    compressed_fields = True
    # For rows without a name of their own: the column that holds whose they are.
    owner_field = ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by the beginning of fields, and by whose it is, with that one looked up before.

        A join with an "or" across it would read the whole table.
        """
        if not search_term or not self.owner_field:
            result: tuple[QuerySet[Any], bool]
            result = super().get_search_results(request, queryset, search_term)
            return result
        owners = self.model._meta.get_field(self.owner_field).related_model._default_manager
        is_owner = Q(username__iexact=search_term) | Q(email__iexact=search_term)
        owner_ids = list(owners.filter(is_owner).values_list("pk")[:20])
        condition = Q(**{f"{self.owner_field}__in": owner_ids})
        for name in self.get_search_fields(request):
            field = name.removeprefix("=")
            # A search term that is no valid id is not compared with ids.
            with suppress(ValidationError):
                condition |= Q(**{field: self.model._meta.get_field(field).to_python(search_term)})
        return queryset.filter(condition), False


class LedgerAdmin(StaffAdmin):
    """An admin for rows that the program writes and nobody edits."""

    actions: Any = None
    ordering = ["-pk"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OneOf(admin.SimpleListFilter):
    """A filter by values that are known, so that no table is read to find them."""

    values: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value.replace("_", " ")) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return (
            queryset.filter(**{self.parameter_name or "": self.value()})
            if self.value()
            else queryset
        )


def one_of(field: str, *values: str) -> type[OneOf]:
    """Make a filter of a field by these values."""
    title = field.replace("_", " ")
    return type("OneOfThese", (OneOf,), {"title": title, "parameter_name": field, "values": values})


class ReasonForm(forms.Form):
    """Why somebody's texts are read. They can see it."""

    reason = forms.CharField(
        max_length=500,
        min_length=8,
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
        help_text="At least a few words. The user sees them, with your name and the time.",
    )


class ReadWithReason:
    """Lets those with a permission of its own read a row's texts, for a reason that is kept.

    Each reading leaves an entry in the audit log that the row's owner can see.
    """

    read_permission = ""
    read_template = ""
    admin_site: Any
    model: type[Model]

    def texts_of(self, row: Any) -> dict[str, Any]:
        """Return what `read_template` shows."""
        raise NotImplementedError

    def owner_of(self, row: Any) -> Any:
        return row.owner

    def may_read(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.read_permission))

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.model._meta.app_label}_{self.model._meta.model_name}_read"
        view = self.admin_site.admin_view(self.read_view)
        ours = [path("<path:object_id>/read/", view, name=name)]
        return [*ours, *super().get_urls()]  # type: ignore[misc]

    def read_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason, then show the texts once."""
        if not self.may_read(request):
            raise PermissionDenied
        try:
            row = get_object_or_404(self.model, pk=object_id)
        except (ValueError, ValidationError):
            # What stands in the path is no id of these rows.
            raise Http404 from None
        form = ReasonForm(request.POST or None)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": str(row),
            "row": row,
            "form": form,
            "owner": self.owner_of(row),
        }
        if not form.is_valid():
            return TemplateResponse(request, "staff/reason.html", context)
        self.admin_site.note(
            request, "read the texts of", row, reason=form.cleaned_data["reason"], is_shown=True
        )
        answer = TemplateResponse(request, self.read_template, context | self.texts_of(row))
        answer["Cache-Control"] = "no-store"
        return answer
