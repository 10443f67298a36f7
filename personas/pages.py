"""Personas in the browser: list them, make and change one's own."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from personas.forms import PersonaForm
from personas.models import Persona
from proxy.common.access import user_of


@login_required
@never_cache
@require_GET
def personas(request: HttpRequest) -> HttpResponse:
    """The personas that one can chat with, one's own first."""
    visible = list(Persona.objects.shown_to(user_of(request)))
    own = [each for each in visible if each.owner_id == request.user.pk]
    shared = [each for each in visible if each.owner_id != request.user.pk]
    return render(request, "personas/personas.html", {"own": own, "shared": shared})


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    if not Persona.objects.has_room_for(user_of(request)):
        messages.error(request, gettext("You have as many personas as there may be."))
        return redirect("personas")
    return _edit(request, None)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    return _edit(request, _get_changeable(request, slug))


@login_required
@require_POST
def switch(request: HttpRequest, slug: str) -> HttpResponse:
    """Switch a persona off, so that nobody can choose it, or on again."""
    _get_changeable(request, slug).switch()
    return redirect("personas")


@login_required
@require_POST
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    _get_changeable(request, slug).retire()
    messages.success(request, gettext("Deleted. Chats that it answered in keep it."))
    return redirect("personas")


def _get_changeable(request: HttpRequest, slug: str) -> Persona:
    persona = Persona.objects.shown_to(user_of(request)).called(user_of(request), slug)
    if persona is None:
        raise Http404
    if not persona.may_be_changed_by(user_of(request)):
        raise PermissionDenied
    return persona


def _edit(request: HttpRequest, persona: Persona | None) -> HttpResponse:
    form = PersonaForm(user_of(request), persona, request.POST or None)
    if request.method == "POST" and form.is_valid() and (saved := form.save()):
        name = saved.current.name if saved.current else saved.slug
        messages.success(request, gettext("%(name)s is saved.") % {"name": name})
        return redirect("personas")
    context = {"form": form, "persona": persona}
    status = 400 if form.is_bound else 200
    return render(request, "personas/persona.html", context, status=status)
