"""A person's stored providers: listed, stored, deleted and restored."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from proxy.common.web.undo import delete_with_undo, pop_deleted
from proxy.models import Provider
from proxy.pages.forms import ProviderForm

# The row of the provider deleted last, its key sealed, in the session of who deleted it.
DELETED = "deleted_provider"


def user_id(request: HttpRequest) -> int:
    """Return the id of the user who is signed in, behind `login_required`."""
    return cast("int", request.user.pk)


@require_safe
@login_required
def providers(request: HttpRequest) -> HttpResponse:
    visible = Provider.objects.visible_to(user_id(request))
    proxy = request.build_absolute_uri("/api/v1/proxy")
    return render(request, "proxy/providers.html", {"providers": visible, "proxy": proxy})


@sensitive_post_parameters("key")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_provider(request: HttpRequest) -> HttpResponse:
    if not Provider.objects.has_room_for(user_id(request)):
        messages.error(request, gettext("You have as many providers as one may. Delete one first."))
        return redirect("providers")
    form = ProviderForm(request)
    provider = form.store(user_id(request)) if form.is_valid() else None
    if provider is None:
        return render(request, "proxy/provider_new.html", {"form": form})
    messages.success(request, gettext("%(name)s is stored.") % {"name": provider.name})
    return redirect("providers")


@require_POST
@login_required
def delete_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    provider = get_object_or_404(Provider.objects.of(user_id(request)), pk=provider_id)
    message = gettext("%(name)s is deleted.") % {"name": provider.name}
    delete_with_undo(
        request, provider, session_key=DELETED, message=message, restore="providers-restore"
    )
    return redirect("providers")


@require_POST
@login_required
def restore_provider(request: HttpRequest) -> HttpResponse:
    """Store the provider again that was deleted last in this session."""
    provider = cast("Provider", pop_deleted(request, DELETED).object)
    if provider.take_name():
        messages.success(request, gettext("The provider is stored again."))
    else:
        messages.error(request, gettext("A provider of this name is stored already."))
    return redirect("providers")
