"""Personas for staff: what each was in every version, and what changed from one to the next."""

from __future__ import annotations

import difflib
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from personas.models import Persona, PersonaVersion
from proxy.common.web.admin import LedgerAdmin, StaffAdmin


class PersonaForm(forms.ModelForm):
    """A persona with the texts of its current version: saving a change makes the next one."""

    name = forms.CharField(max_length=80)
    description = forms.CharField(max_length=300, required=False)
    system_prompt = forms.CharField(
        max_length=20_000, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 12})
    )

    class Meta:
        model = Persona
        fields = ["slug", "owner", "is_shared", "is_active"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.current:
            for name in VERSIONED:
                self.fields[name].initial = getattr(self.instance.current, name)


VERSIONED = ("name", "description", "system_prompt")


@admin.register(Persona)
class PersonaAdmin(StaffAdmin):
    form = PersonaForm
    list_display = [
        "slug",
        "persona_name",
        "owner",
        "is_shared",
        "is_active",
        "versions_made",
        "created",
    ]
    list_select_related = ["owner", "current"]
    list_filter = ["is_shared", "is_active", "created"]
    search_fields = ["slug", "current__name"]
    autocomplete_fields = ["owner"]
    fields = ["slug", "owner", "is_shared", "is_active", *VERSIONED]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Persona]:
        versions = (
            PersonaVersion.objects.filter(persona=OuterRef("pk")).order_by().values("persona")
        )
        count = Subquery(versions.annotate(count=Count("pk")).values("count"))
        return super().get_queryset(request).annotate(version_count=Coalesce(count, 0))

    def save_model(self, request: HttpRequest, obj: Persona, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        obj.revise(**{name: form.cleaned_data[name] for name in VERSIONED})

    @admin.display(description="Name")
    def persona_name(self, persona: Persona) -> str:
        return persona.current.name if persona.current else "-"

    @admin.display(description="Versions")
    def versions_made(self, persona: Persona) -> int:
        count: int = persona.version_count  # type: ignore[attr-defined]
        return count


@admin.register(PersonaVersion)
class PersonaVersionAdmin(LedgerAdmin):
    """One version, and its difference from the one before."""

    list_display = ["persona", "number", "name", "model", "created"]
    list_select_related = ["persona"]
    search_fields = ["persona__slug"]
    ordering = ["-pk"]
    exclude = ["system_prompt"]
    change_form_after_template = "staff/version_changes.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the version with what changed in it."""
        version = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if version is not None and self.has_view_permission(request, version):
            earlier = PersonaVersion.objects.filter(
                persona=version.persona_id, number__lt=version.number
            )
            context = {"changes": changes(earlier.order_by("-number").first(), version)}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | context)


def changes(
    before: PersonaVersion | None, after: PersonaVersion
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what differs, field by field, in lines that were `added`, `removed` or `kept`."""
    old, new = (before.content() if before else {}), after.content()
    differences = []
    for field, value in new.items():
        previous = old.get(field)
        if before is None or previous != value:
            lines = difflib.ndiff(_lines(previous), _lines(value))
            kinds = {"+": "added", "-": "removed", " ": "kept"}
            marked_lines = [(kinds[line[0]], line[2:]) for line in lines if line[0] in kinds]
            if marked_lines:
                differences.append((field.replace("_", " "), marked_lines))
    return differences


def _lines(value: Any) -> list[str]:
    if value in (None, "", []):
        return []
    return [str(each) for each in value] if isinstance(value, list) else str(value).splitlines()
