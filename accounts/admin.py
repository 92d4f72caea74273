"""The pages on which people, teams and their keys are kept."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import slugify
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget

from accounts.admin_base import (
    KEEPS_THE_OLD_ONE,
    BridgeAdmin,
    ModelForm,
    RowForm,
    SecretField,
    in_one_line,
    is_superuser,
    page_action,
)
from accounts.models import ApiKey, Membership, OpenRouterKey, Team, User
from accounts.services import create_api_key, revoke_api_key, save_openrouter_key

USABLE, EXPIRED, REVOKED = "usable", "expired", "revoked"
STATE_COLOURS = {USABLE: "success", EXPIRED: "warning", REVOKED: "danger"}
ROLE_COLOURS = {"owner": "primary", "admin": "info", "member": ""}
RIGHTS_COLOURS = {"superuser": "primary", "staff": "info"}
OUR_APPS = ("accounts", "messages_api", "usage")
WHO_SIGNS_IN = "Needed only to sign in to this site: Claude Code is connected with a personal key."
PRIVILEGES = ("is_staff", "is_superuser", "user_permissions")

admin.site.unregister(Group)


def usable_now(path: str = "") -> Q:
    """The personal keys, seen over `path`, that open the door now."""
    unexpired = Q(**{f"{path}expires_at": None}) | Q(**{f"{path}expires_at__gt": timezone.now()})
    return Q(**{f"{path}revoked_at": None}) & unexpired


# --- people ----------------------------------------------------------------------------------------------------------


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


class TeamsOfUser(TabularInline):
    """The teams that a user is in."""

    model = Membership
    form = RowForm
    extra = 0
    fields = ("team", "role")
    verbose_name = "team"
    verbose_name_plural = "teams"


@admin.register(User)
class UserAdmin(DjangoUserAdmin, BridgeAdmin):  # type: ignore[misc,type-arg]  # combined as Unfold's manual says
    """People. Members need no password; whoever signs in here does."""

    intro = "Everybody known here. To give somebody a personal key, put them in a team first."
    form = ModelForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    inlines = [TeamsOfUser]
    list_display = ("email", "full_name", "teams", "rights", "is_active", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", ("memberships__team", RelatedDropdownFilter))
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    filter_horizontal = ("user_permissions",)
    readonly_fields = ("password_state", "last_login", "date_joined")
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("email", "first_name", "last_name", "password_state")}),
        ("This site", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        teams = Prefetch("memberships", Membership.objects.select_related("team"))
        return super().get_queryset(request).prefetch_related(teams)

    @display(description="name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @display(description="teams")
    def teams(self, user: User) -> str:
        return ", ".join(membership.team.name for membership in user.memberships.all())

    @display(description="here", label=RIGHTS_COLOURS)
    def rights(self, user: User) -> str:
        if user.is_superuser:
            return "superuser"
        return "staff" if user.is_staff else ""

    @display(description="password")
    def password_state(self, user: User) -> str:
        known = user.has_usable_password()
        return format_html(
            '{} <a class="text-link" href="{}">{}</a>',
            "Set." if known else "None: cannot sign in here.",
            reverse("admin:auth_user_password_change", args=[user.pk]),
            "Change the password" if known else "Set a password",
        )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user_permissions":
            ours = Permission.objects.filter(content_type__app_label__in=OUR_APPS)
            kwargs["queryset"] = ours.select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only a superuser hands out what may be done on this site."""
        return self.readonly_fields if is_superuser(request) else (*self.readonly_fields, *PRIVILEGES)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """One by one: only a row's own `delete` tells the other processes that its keys are gone."""
        for user in queryset:
            if _may_touch(request, user):
                user.delete()


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Nobody but a superuser changes a superuser: whoever sets a password can sign in with it."""
    return user is None or not user.is_superuser or is_superuser(request)


# --- teams -----------------------------------------------------------------------------------------------------------


class MemberForm(RowForm):
    """A member of a team. Who it is stays as it was: personal keys hang on it."""

    class Meta:
        model = Membership
        fields = ("user", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            user = self.instance.user
            self.fields["user"].widget = UnfoldAdminSelectWidget(choices=[(user.pk, str(user))])
            self.fields["user"].disabled = True


class MembersOfTeam(TabularInline):
    """The members of a team, in its page."""

    model = Membership
    form = MemberForm
    fields = ("user", "role")
    autocomplete_fields = ("user",)
    extra = 0
    show_change_link = True
    verbose_name_plural = "members"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user", "team")


class TeamForm(ModelForm):
    """A team, whose short name is made from its name where none is given."""

    class Meta:
        model = Team
        fields = ("name", "slug", "is_active", "openrouter_key")

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"] or slugify(self.cleaned_data.get("name", ""))
        if not slug:
            raise ValidationError("Give one: none can be made from this name.")
        return slug


@admin.register(Team)
class TeamAdmin(BridgeAdmin):
    """Teams, with their members."""

    form = TeamForm

    intro = "A team shares model aliases and a bill. While it is off, every key of it is refused."
    empty_hint = "Make a team, put members into it, then give each a personal key."
    list_display: tuple[str, ...] = ("name", "active", "members", "usable_keys", "openrouter_key", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("openrouter_key",)
    search_fields = ("name", "slug")
    autocomplete_fields = ("openrouter_key",)
    readonly_fields = ("created_at",)
    actions = ("enable", "disable")
    inlines = [MembersOfTeam]
    fieldsets = ((None, {"fields": ("name", "slug", "is_active", "openrouter_key", "created_at")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        keys = Count("memberships__api_keys", filter=usable_now("memberships__api_keys__"), distinct=True)
        members = Count("memberships", distinct=True)
        teams: QuerySet[Team] = super().get_queryset(request)
        return teams.annotate(member_count=members, usable_key_count=keys)

    @display(description="active", ordering="is_active", boolean=True)
    def active(self, team: Team) -> bool:
        return team.is_active

    @display(description="members", ordering="member_count")
    def members(self, team: Any) -> int:
        return int(team.member_count)

    @display(description="usable keys", ordering="usable_key_count")
    def usable_keys(self, team: Any) -> int:
        return int(team.usable_key_count)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Team]) -> None:
        self._switch(request, queryset, on=True)

    @admin.action(description="Disable: refuse every key", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Team]) -> None:
        self._switch(request, queryset, on=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Team], *, on: bool) -> None:
        word = "Enabled" if on else "Disabled"
        teams = list(queryset.exclude(is_active=on))
        Team.objects.filter(pk__in=[team.pk for team in teams]).update(is_active=on)
        for team in teams:
            self.log_change(request, team, f"{word}.")
        names = ", ".join(team.name for team in teams) or "nothing: already so"
        self.message_user(request, f"{word}: {names}.", messages.SUCCESS)


@admin.register(Membership)
class MembershipAdmin(BridgeAdmin):
    """Who is in which team. From here a member gets a key."""

    intro = "A user's place in a team. Personal keys belong to a member: removing one removes their keys in that team."
    empty_hint = "Add a user to a team, then make a personal key from the row's menu."
    list_display = ("user", "team", "shown_role", "usable_keys", "created_at")
    list_filter = (("team", RelatedDropdownFilter), "role")
    search_fields = ("user__email", "user__first_name", "user__last_name", "team__name")
    ordering = ("team__name", "user__email")
    autocomplete_fields = ("user", "team")
    readonly_fields = ("created_at",)
    actions_row = ("make_key",)
    actions_detail = ("make_key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        keys = Count("api_keys", filter=usable_now("api_keys__"))
        members: QuerySet[Membership] = super().get_queryset(request)
        return members.select_related("user", "team").annotate(usable_key_count=keys)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "user", "team") if obj else self.readonly_fields

    @display(description="role", ordering="role", label=ROLE_COLOURS)
    def shown_role(self, membership: Membership) -> str:
        return membership.role

    @display(description="usable keys", ordering="usable_key_count")
    def usable_keys(self, membership: Any) -> int:
        return int(membership.usable_key_count)

    def has_make_key_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.add_apikey")

    @page_action(description="Make a personal key", url_path="make-key", icon="key", permissions=["make_key"])
    def make_key(self, request: HttpRequest, object_id: str) -> HttpResponseRedirect:
        return redirect(f"{reverse('admin:accounts_apikey_add')}?membership={object_id}")


# --- personal keys ---------------------------------------------------------------------------------------------------


class StateFilter(DropdownFilter):
    """Usable, expired or revoked."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in STATE_COLOURS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        conditions = {
            USABLE: usable_now(),
            EXPIRED: Q(revoked_at=None, expires_at__lte=timezone.now()),
            REVOKED: Q(revoked_at__isnull=False),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


@admin.register(ApiKey)
class ApiKeyAdmin(BridgeAdmin):
    """Personal keys: made, shown once, revoked."""

    intro = (
        "What a member puts into Claude Code. Only its beginning is kept readable: a lost key is revoked and replaced."
    )
    empty_hint = "Add a key for a member. Its text is shown once, with the lines that connect Claude Code."
    list_display = ("name", "member", "team", "shown_prefix", "state", "expires", "created")
    list_filter = (StateFilter, ("membership__team", RelatedDropdownFilter), "created_at")
    search_fields = ("membership__user__email", "name", "prefix", "membership__team__name")
    autocomplete_fields = ("membership", "openrouter_key")
    actions = ("revoke_selected",)
    actions_detail = ("revoke",)
    add_fieldsets = ((None, {"fields": ("membership", "name", "openrouter_key", "expires_at")}),)
    fieldsets = (
        (None, {"fields": ("name", "membership", "shown_prefix", "state")}),
        ("Pays", {"fields": ("openrouter_key",)}),
        ("Dates", {"fields": ("expires_at", "created_at", "revoked_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return ApiKey.objects.with_owner().order_by(*self.get_ordering(request) or ["-created_at"])

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("membership", "shown_prefix", "state", "created_at", "revoked_at") if obj else ()

    @display(description="member", ordering="membership__user__email")
    def member(self, key: ApiKey) -> str:
        return key.membership.user.email

    @display(description="team", ordering="membership__team__name")
    def team(self, key: ApiKey) -> str:
        return key.membership.team.name

    @display(description="begins with", ordering="prefix")
    def shown_prefix(self, key: ApiKey) -> str:
        return in_one_line(f"sk-brg-{key.prefix}-…")

    @display(description="expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        return in_one_line(f"{key.expires_at:%d %b %Y}") if key.expires_at else "never"

    @display(description="created", ordering="created_at")
    def created(self, key: ApiKey) -> str:
        return in_one_line(f"{key.created_at:%d %b %Y}")

    @display(description="state", label=STATE_COLOURS)
    def state(self, key: ApiKey) -> str:
        if key.is_usable:
            return USABLE
        return REVOKED if key.revoked_at else EXPIRED

    # --- making one ---

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        created = create_api_key(
            membership=obj.membership, name=obj.name, openrouter_key=obj.openrouter_key, expires_at=obj.expires_at
        )
        obj.pk, obj.prefix, obj.digest = created.row.pk, created.row.prefix, created.row.digest
        obj.text = created.text  # for response_add, which is handed this object and nothing else

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **only_save})

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The key in the answer itself: in a redirect's cookie or session it would be kept somewhere."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "New personal key",
            "key": obj,
            "key_text": obj.text,
            "base_url": settings.BASE_URL,
        }
        return TemplateResponse(request, "admin/accounts/apikey/created.html", context)

    # --- revoking ---

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        if request.POST.get("post") != "yes":
            return self._ask_to_revoke(request, list(queryset))
        self._revoke(request, list(queryset))
        return None

    @page_action(
        description="Revoke", url_path="revoke", icon="block", variant=ActionVariant.DANGER, permissions=["change"]
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = get_object_or_404(self.get_queryset(request), pk=object_id)
        if request.method != "POST":
            return self._ask_to_revoke(request, [key])
        self._revoke(request, [key])
        return redirect("admin:accounts_apikey_change", key.pk)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        revoked = ApiKey.objects.filter(pk=object_id, revoked_at__isnull=False).exists()
        return [] if revoked else list(super().get_actions_detail(request, object_id))

    def _ask_to_revoke(self, request: HttpRequest, keys: list[ApiKey]) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Revoke these keys?" if len(keys) > 1 else "Revoke this key?",
            "keys": keys,
            "action_checkbox_name": admin.helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/accounts/apikey/revoke.html", context)

    def _revoke(self, request: HttpRequest, keys: list[ApiKey]) -> None:
        for key in keys:
            if key.revoked_at is None:
                revoke_api_key(key)
                self.log_change(request, key, "Revoked.")
        self.message_user(request, f"Revoked: {', '.join(str(key) for key in keys)}.", messages.SUCCESS)


# --- who pays --------------------------------------------------------------------------------------------------------


class OpenRouterKeyForm(ModelForm):
    """A name and, going in only, the key itself."""

    secret = SecretField(
        label="Key", help_text="From openrouter.ai/settings/keys. Stored encrypted, never shown again."
    )

    class Meta:
        model = OpenRouterKey
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["secret"].required = False
            self.fields["secret"].help_text = KEEPS_THE_OLD_ONE


@admin.register(OpenRouterKey)
class OpenRouterKeyAdmin(BridgeAdmin):
    """OpenRouter's keys: they go in and are never seen again."""

    intro = "A personal key's own OpenRouter key pays, else its team's, else the server's OPENROUTER_API_KEY."
    empty_hint = "Without any, the server's OPENROUTER_API_KEY pays for everybody."
    form = OpenRouterKeyForm
    list_display = ("name", "shown_hint", "team_count", "key_count", "created_at")
    search_fields = ("name",)
    ordering = ("name",)
    readonly_fields = ("shown_hint", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OpenRouterKey]:
        counts = {"teams_paid": Count("teams", distinct=True), "keys_paid": Count("api_keys", distinct=True)}
        keys: QuerySet[OpenRouterKey] = super().get_queryset(request)
        return keys.annotate(**counts)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "shown_hint", "secret", "created_at") if obj else ("name", "secret")

    @display(description="ends in")
    def shown_hint(self, key: OpenRouterKey) -> str:
        return f"…{key.hint}"

    @display(description="teams", ordering="teams_paid")
    def team_count(self, key: Any) -> int:
        return int(key.teams_paid)

    @display(description="personal keys of its own", ordering="keys_paid")
    def key_count(self, key: Any) -> int:
        return int(key.keys_paid)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        secret = form.cleaned_data.get("secret")
        if secret:
            save_openrouter_key(obj, secret=secret)
        else:
            super().save_model(request, obj, form, change)
