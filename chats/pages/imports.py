"""Imports that one has sent by the API: how far each is, and an end to the one under way."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chats.models import ImportJob
from chats.tasks import import_chats
from proxy.common.access import user_of

MOST_SHOWN = 20


@login_required
@never_cache
@require_GET
def imports(request: HttpRequest) -> HttpResponse:
    """The last imports, newest first."""
    jobs = ImportJob.objects.of(user_of(request))[:MOST_SHOWN]
    return render(request, "chats/imports.html", {"jobs": jobs})


@login_required
@require_POST
def stop_import(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """End an import, with what it has imported kept or, by `delete`, deleted."""
    jobs = ImportJob.objects.of(user_of(request)).filter(pk=job_id)
    get_object_or_404(jobs)
    if jobs.request_stop(keep="delete" not in request.POST):
        import_chats.delay_on_commit(str(job_id))
        messages.success(request, gettext("The import is being stopped."))
    else:
        messages.error(request, gettext("This import has ended already."))
    return redirect("imports")
