"""The page on which users are kept."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminEmailInputWidget

from accounts.admin_base import BridgeAdmin, BridgeInline, ModelForm, RelatedFilter, RowForm
from accounts.models import Membership, User
from accounts.scope import by_team, is_superuser, visible

WHO_SIGNS_IN = "Needed only to sign in to this site: Claude Code is connected with a personal key."


class NewUserForm(UserCreationForm):
    """A user by email, with or without a password."""

    class Meta:
        model = User
        fields = ("email",)
        widgets = {"email": UnfoldAdminEmailInputWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["usable_password"].label = "Password"
        self.fields["usable_password"].help_text = WHO_SIGNS_IN


class TeamsOfUser(BridgeInline):
    """The teams that a user is in."""

    model = Membership
    form = RowForm
    fields = ("team", "role")
    verbose_name = "team"
    verbose_name_plural = "teams"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user", "team")


@admin.register(User)
class UserAdmin(DjangoUserAdmin, BridgeAdmin):  # type: ignore[misc,type-arg]  # combined as Unfold's manual says
    """People. Members need no password; whoever signs in here does.

    Passwords, email addresses and flags are a superuser's to change: whoever sets a password can sign in with it.
    """

    scope = by_team("memberships__team")
    team_admins_may = frozenset({"view"})
    intro = "Everybody known here. Superusers sign in here, and the owners and administrators of teams."
    form = ModelForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    inlines = [TeamsOfUser]
    list_display = ("email", "full_name", "teams", "rights", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", ("memberships__team", RelatedFilter))
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("password_state", "last_login", "date_joined")
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("email", "first_name", "last_name", "password_state")}),
        ("This site", {"fields": ("is_active", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    seen_by_team_admins = ("email", "first_name", "last_name")

    # --- the same page for who keeps a team ---

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fieldsets(request, obj) if is_superuser(request) else self._seen()

    def _seen(self) -> tuple[Any, ...]:
        return ((None, {"fields": self.seen_by_team_admins}),)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return tuple(self.list_display) if is_superuser(request) else ("email", "full_name", "teams")

    def get_list_filter(self, request: HttpRequest) -> tuple[Any, ...]:
        return tuple(self.list_filter) if is_superuser(request) else ()

    # --- the list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        teams = Prefetch("memberships", visible(request, Membership).select_related("team"))
        return super().get_queryset(request).prefetch_related(teams)

    @display(description="name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @display(description="teams")
    def teams(self, user: User) -> str:
        return ", ".join(membership.team.name for membership in user.memberships.all())

    @display(description="here", label={"superuser": "primary", "team administrator": "info"})
    def rights(self, user: User) -> str:
        if user.is_superuser:
            return "superuser"
        kept = any(membership.is_administering for membership in user.memberships.all())
        return "team administrator" if kept else ""

    @display(description="password")
    def password_state(self, user: User) -> str:
        known = user.has_usable_password()
        return format_html(
            '{} <a class="text-link" href="{}">{}</a>',
            "Set." if known else "None: cannot sign in here.",
            reverse("admin:auth_user_password_change", args=[user.pk]),
            "Change the password" if known else "Set a password",
        )

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """One by one: only a row's own `delete` tells the other processes that its keys are gone."""
        for user in queryset:
            user.delete()
