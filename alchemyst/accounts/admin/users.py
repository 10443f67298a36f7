"""Users: blocked and unblocked, signed out, limited. Nobody acts in another's name."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.admin import ModelAdmin, StackedInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from alchemyst.accounts.limits import persistence
from alchemyst.accounts.models import SCOPES, ApiKey, Limit, User


class ChangeForm(UserChangeForm):
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What the user's sign-ins and keys may do at most.",
    )


class LimitInline(StackedInline):
    model = Limit
    fk_name = "user"
    extra = 0
    max_num = 1
    exclude = ["group", "key", "is_shared"]
    tab = True


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = ChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    list_display = ["username", "email", "state", "is_staff", "keys", "last_login", "date_joined"]
    list_filter = ["is_active", "is_staff", "is_superuser", "groups", "date_joined"]
    list_filter_submit = True
    search_fields = ["^username", "^email"]
    ordering = ["username"]
    actions = ["block", "unblock", "sign_out_everywhere", "reset"]
    inlines = [LimitInline]
    readonly_fields = ["blocked_at", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["username", "password", "email", "first_name", "last_name"]}),
        (
            "Access",
            {"fields": ["is_active", "blocked_at", "scopes", "is_staff", "is_superuser", "groups"]},
        ),
        ("Context proxy", {"fields": ["relevance", "cost"]}),
        ("Preferences", {"fields": ["theme", "language", "keep_chats_days"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        # Counted for the rows of a page alone; a join would count those of the whole table.
        keys = ApiKey.objects.filter(owner=OuterRef("pk")).order_by().values("owner")
        count = Subquery(keys.annotate(count=Count("pk")).values("count"), IntegerField())
        return super().get_queryset(request).annotate(key_count=Coalesce(count, 0))

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list[Any]:
        return list(self.inlines) if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Keep what makes a superuser for superusers."""
        fixed = list(super().get_readonly_fields(request, obj))
        return fixed if _is_superuser(request) else [*fixed, "is_superuser", "is_staff", "groups"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj and obj.is_superuser and not _is_superuser(request):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj and obj.is_superuser and not _is_superuser(request):
            return False
        return super().has_delete_permission(request, obj)

    def has_block_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.block_user"))

    def has_limit_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.change_limit"))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save; an account that is switched off is blocked, with all that ends by it."""
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data:
            obj.unblock() if obj.is_active else obj.block()

    @display(
        description="State", label={"active": "success", "blocked": "danger"}, ordering="is_active"
    )
    def state(self, user: User) -> str:
        return "active" if user.is_active else "blocked"

    @admin.display(description="API keys")
    def keys(self, user: User) -> int:
        count: int = user.key_count  # type: ignore[attr-defined]
        return count

    @admin.action(description="Block: end everything at once", permissions=["block"])
    def block(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset.exclude(pk=request.user.pk or 0), "blocked", User.block)

    @admin.action(description="Unblock", permissions=["block"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset, "unblocked", User.unblock)

    @admin.action(description="Sign out everywhere", permissions=["block"])
    def sign_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset, "signed out everywhere", User.sign_out_everywhere)

    @admin.action(description="Reset: count their limits anew", permissions=["limit"])
    def reset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset, "counted anew", persistence.reset)

    def _act(self, request: HttpRequest, users: QuerySet[User], action: str, act: Any) -> None:
        if not _is_superuser(request):
            users = users.filter(is_superuser=False)
        count = 0
        for user in users:
            act(user)
            self.admin_site.note(request, action, user)  # type: ignore[attr-defined]
            count += 1
        messages.success(request, f"{count} {'user' if count == 1 else 'users'} {action}.")


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
