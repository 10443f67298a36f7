"""The pages of the personas."""

from __future__ import annotations

from django.urls import path

from personas import pages

urlpatterns = [
    path("personas", pages.personas, name="personas"),
    path("personas/new", pages.new, name="personas-new"),
    path("personas/<slug:slug>", pages.edit, name="personas-edit"),
    path("personas/<slug:slug>/switch", pages.switch, name="personas-switch"),
    path("personas/<slug:slug>/delete", pages.delete, name="personas-delete"),
]
