"""Chats and answers for staff: whose, when, how much, in what state. Texts only for a reason."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from chats.answers import run
from chats.models import Chat, Generation, Message, Share
from proxy.common.web.admin import LedgerAdmin, ReadWithReason, one_of


class TransferForm(forms.Form):
    """Whom a chat is given to, and why."""

    username = forms.CharField(max_length=150, widget=UnfoldAdminTextInputWidget)
    reason = forms.CharField(max_length=500, min_length=8, widget=UnfoldAdminTextInputWidget)

    def clean_username(self) -> Any:
        name = self.cleaned_data["username"]
        users = get_user_model()._default_manager.filter(username__iexact=name, is_active=True)
        if not (user := users.first()):
            raise forms.ValidationError("There is no active user of this name.")
        return user


@admin.register(Chat)
class ChatAdmin(ReadWithReason, LedgerAdmin):
    """A chat is deleted here for good, unlike by its owner, who has a trash."""

    list_display = ["__str__", "owner", "messages_kept", "persona", "source", "state", "updated"]
    list_select_related = ["owner", "persona_version__persona"]
    list_filter = ["is_pinned", "is_archived", "created"]
    search_fields = ["=id", "=source"]
    search_help_text = "A chat's id, a source, or a user's whole name or e-mail address"
    owner_field = "owner"
    actions = ["delete_selected"]
    fields = [
        "id",
        "title",
        "owner",
        "persona_version",
        "relevance",
        "scope",
        "username",
        "source",
        "is_pinned",
        "is_archived",
        "messages_kept",
        "created",
        "updated",
        "deleted_at",
    ]
    change_form_after_template = "staff/chat_acts.html"
    read_permission = "chats.read_chat"
    read_template = "staff/chat.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chat]:
        # Of the rows of a page alone.
        messages_of_chat = Message.objects.filter(chat=OuterRef("pk")).order_by().values("chat")
        count = Subquery(messages_of_chat.annotate(count=Count("pk")).values("count"))
        return super().get_queryset(request).annotate(message_count=Coalesce(count, 0))

    def get_urls(self) -> list[URLPattern]:
        give = self.admin_site.admin_view(self.transfer_view)
        return [
            path("<uuid:chat_id>/transfer/", give, name="chats_chat_transfer"),
            *super().get_urls(),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("chats.delete_chat"))

    @admin.display(description="Messages")
    def messages_kept(self, chat: Chat) -> int:
        count: int = chat.message_count  # type: ignore[attr-defined]
        return count

    @admin.display(description="Persona")
    def persona(self, chat: Chat) -> str:
        return chat.persona_version.persona.slug if chat.persona_version else "-"

    @display(description="State", label={"in the trash": "warning"})
    def state(self, chat: Chat) -> str:
        if chat.deleted_at:
            return "in the trash"
        if chat.is_archived:
            return "archived"
        return "pinned" if chat.is_pinned else "kept"

    def texts_of(self, row: Chat) -> dict[str, Any]:
        return {"said": row.messages_on(), "title": row.title or str(row.pk)}

    def read_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a chat for a reason, or hand it out as a file where that is asked for."""
        answer = super().read_view(request, object_id)
        if "as_file" not in request.POST or "said" not in getattr(answer, "context_data", {}):
            return answer
        chat = answer.context_data["row"]  # type: ignore[attr-defined]
        fields = {
            "id": str(chat.pk),
            "owner": str(chat.owner),
            "title": chat.title,
            "created": chat.created.isoformat(),
            "messages": [
                {"role": each.role, "content": each.content, "created": each.created.isoformat()}
                for each in chat.messages_on()
            ],
        }
        response = HttpResponse(
            json.dumps(fields, ensure_ascii=False, indent=1), content_type="application/json"
        )
        response["Content-Disposition"] = f'attachment; filename="chat-{chat.pk}.json"'
        response["Cache-Control"] = "no-store"
        return response

    def transfer_view(self, request: HttpRequest, chat_id: Any) -> HttpResponse:
        """Give a chat to another user, for a reason that both can see."""
        if not request.user.has_perm("chats.transfer_chat"):
            raise PermissionDenied
        chat = get_object_or_404(Chat.objects.select_related("owner"), pk=chat_id)
        form = TransferForm(request.POST or None)
        if not form.is_valid():
            context = {**self.admin_site.each_context(request), "opts": Chat._meta}
            context |= {"title": "Give a chat to another user", "row": chat, "form": form}
            return TemplateResponse(request, "staff/transfer.html", context)
        to, reason = form.cleaned_data["username"], form.cleaned_data["reason"]
        with transaction.atomic():
            action = f"gave to {to}"
            self.admin_site.note(request, action, chat, reason=reason, is_shown=True)
            chat.transfer_to(to)
            self.admin_site.note(request, "was given", chat, reason=reason, is_shown=True)
        messages.success(request, f"The chat belongs to {to} now.")
        return HttpResponseRedirect(reverse("admin:chats_chat_change", args=[chat.pk]))


@admin.register(Generation)
class GenerationAdmin(LedgerAdmin):
    """Answers on their way and after: never what they say."""

    list_display = ["created", "owner", "shown_state", "model", "seconds", "error"]
    list_select_related = ["owner"]
    list_filter = [one_of("state", *Generation.State.values), "created"]
    search_fields = ["=model"]
    search_help_text = "A model, or a user's whole name or e-mail address"
    owner_field = "owner"
    ordering = ["-pk"]
    actions = ["stop"]
    fields = [
        "id",
        "owner",
        "chat",
        "state",
        "error",
        "target",
        "model",
        "usage",
        "created",
        "first_token",
        "finished",
        "lease_until",
        "stop_requested",
    ]

    @display(
        description="State",
        label={
            "complete": "success",
            "failed": "danger",
            "incomplete": "warning",
            "streaming": "info",
        },
    )
    def shown_state(self, generation: Generation) -> str:
        return generation.state

    @admin.display(description="Seconds")
    def seconds(self, generation: Generation) -> str:
        if not generation.finished:
            return "-"
        return f"{(generation.finished - generation.created).total_seconds():.1f}"

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("chats.stop_generation"))

    @admin.action(description="Stop, and keep what there is", permissions=["stop"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        stopped = 0
        for generation in queryset.running():  # type: ignore[attr-defined]
            run.stop(generation)
            self.admin_site.note(request, "stopped", generation)
            stopped += 1
        messages.success(request, f"Told to stop: {stopped}.")


@admin.register(Share)
class ShareAdmin(LedgerAdmin):
    """Copies of chats that strangers can read: whose, until when; staff can close one."""

    list_display = ["__str__", "owner", "created", "expires_at", "state"]
    list_select_related = ["owner"]
    list_filter = ["is_blocked", "created"]
    search_fields = ["=id"]
    search_help_text = "A share's id, or a user's whole name or e-mail address"
    owner_field = "owner"
    ordering = ["-pk"]
    actions = ["close", "reopen"]
    fields = ["id", "owner", "chat", "title", "created", "expires_at", "revoked_at", "is_blocked"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Share]:
        return super().get_queryset(request).defer("messages")

    @display(description="State", label={"open": "success", "closed by staff": "danger"})
    def state(self, share: Share) -> str:
        if share.is_blocked:
            return "closed by staff"
        if share.revoked_at:
            return "revoked"
        is_over = share.expires_at and share.expires_at <= timezone.now()
        return "expired" if is_over else "open"

    def has_close_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("chats.change_share"))

    @admin.action(description="Close: the address shows nothing", permissions=["close"])
    def close(self, request: HttpRequest, queryset: QuerySet[Share]) -> None:
        self._set(request, queryset.filter(is_blocked=False), is_blocked=True, act="closed")

    @admin.action(description="Open again", permissions=["close"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[Share]) -> None:
        self._set(request, queryset.filter(is_blocked=True), is_blocked=False, act="opened")

    def _set(
        self, request: HttpRequest, shares: QuerySet[Share], *, is_blocked: bool, act: str
    ) -> None:
        changed = list(shares)
        for share in changed:
            share.is_blocked = is_blocked
            share.save(update_fields=["is_blocked"])
            self.admin_site.note(request, act, share)
        messages.success(request, f"{act.capitalize()}: {len(changed)}.")
