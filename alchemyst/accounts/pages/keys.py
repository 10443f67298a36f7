"""A person's API keys: made, shown once, revoked, and restored if that was a slip."""

from __future__ import annotations

from uuid import uuid4

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from alchemyst.accounts.auth.authentication import signed_in
from alchemyst.accounts.models import ApiKey
from alchemyst.accounts.pages.forms import post_data
from alchemyst.accounts.pages.key_forms import ApiKeyChangeForm, ApiKeyForm
from alchemyst.accounts.pages.snippets import snippets
from proxy.common.web.undo import delete_with_undo, pop_deleted

# The row of the key revoked last, in the session of who revoked it.
REVOKED = "revoked_key"
# The form that made the last key: sent again by a reload, it makes no other one.
MADE_BY = "key_made_by"


@require_safe
@login_required
def keys(request: HttpRequest) -> HttpResponse:
    context = {"keys": ApiKey.objects.of(signed_in(request)), "now": timezone.now()}
    return render(request, "accounts/keys.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_key(request: HttpRequest) -> HttpResponse:
    """Make a key. The answer to the form is the one page that ever shows it."""
    user = signed_in(request)
    form = ApiKeyForm(post_data(request))
    if not ApiKey.objects.has_room_for(user):
        messages.error(request, gettext("You have as many keys as one may. Revoke one first."))
        return redirect("keys")
    sheet = request.POST.get("sheet", "")
    if sheet and sheet == request.session.get(MADE_BY):
        return redirect("keys")
    if not form.is_valid():
        return render(request, "accounts/key_new.html", {"form": form, "sheet": uuid4()})
    key, text = ApiKey.make(user, **form.fields_of_key)
    request.session[MADE_BY] = sheet
    server = request.build_absolute_uri("/api/v1/proxy")
    context = {"key": key, "text": text, "snippets": snippets(server, text)}
    return render(request, "accounts/key_made.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_key(request: HttpRequest, key_id: str) -> HttpResponse:
    with transaction.atomic():
        own = ApiKey.objects.of(signed_in(request)).select_for_update()
        key = get_object_or_404(own, pk=key_id)
        form = ApiKeyChangeForm(key, post_data(request))
        if not form.is_valid():
            return render(request, "accounts/key_new.html", {"form": form, "key": key})
        form.serializer.save()
    messages.success(request, gettext("%(name)s is changed.") % {"name": key.name})
    return redirect("keys")


@require_POST
@login_required
def revoke_key(request: HttpRequest, key_id: str) -> HttpResponse:
    key = get_object_or_404(ApiKey.objects.of(signed_in(request)), pk=key_id)
    message = gettext("%(name)s is revoked.") % {"name": key.name}
    delete_with_undo(request, key, session_key=REVOKED, message=message, restore="keys-restore")
    return redirect("keys")


@require_POST
@login_required
def restore_key(request: HttpRequest) -> HttpResponse:
    """Accept the key again that was revoked last in this session."""
    pop_deleted(request, REVOKED).save()
    messages.success(request, gettext("The key is accepted again."))
    return redirect("keys")
