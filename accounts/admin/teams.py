"""The pages on which teams and their members are kept."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from unfold.decorators import display
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget, UnfoldAdminURLInputWidget

from accounts.admin.openrouter_keys import CapForm, has_management_key
from accounts.admin_base import BridgeAdmin, BridgeInline, ModelForm, RelatedFilter, RowForm, page_action
from accounts.encryption import Undecipherable
from accounts.models import Membership, Team, User
from accounts.openrouter import OpenRouterRefused
from accounts.scope import by_team, is_superuser
from accounts.services import ensure_user, make_managed_key
from accounts.time_zones import DEFAULT_TIME_ZONE
from accounts.way_out import refusal_now

LONGEST_URL = 200
UNDECIPHERABLE_WEBHOOK = "There is one, and no key in FIELD_ENCRYPTION_KEYS opens it: nobody is told. Give it anew."
ROLE_COLOURS = {"owner": "primary", "admin": "info", "member": ""}
OWNERS_MAKE_OWNERS = "Only an owner of the team, or a superuser, makes somebody an owner."
INVITE = "Whoever is not known here yet becomes a user without a password: a superuser sets one for those who sign in."


def usable_now(path: str = "") -> Q:
    """The personal keys, seen over `path`, that open the door now."""
    unexpired = Q(**{f"{path}expires_at": None}) | Q(**{f"{path}expires_at__gt": timezone.now()})
    return Q(**{f"{path}revoked_at": None}) & unexpired


# --- teams -----------------------------------------------------------------------------------------------------------


class MemberForm(RowForm):
    """A member of a team. Who it is stays as it was: personal keys hang on it."""

    class Meta:
        model = Membership
        fields = ("user", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "user" in self.fields:
            user = self.instance.user
            self.fields["user"].widget = UnfoldAdminSelectWidget(
                choices=[(user.pk, str(user))], attrs={"aria-label": "User"}
            )
            self.fields["user"].disabled = True


class MembersOfTeam(BridgeInline):
    """The members of a team, in its page."""

    model = Membership
    form = MemberForm
    fields = ("user", "role")
    autocomplete_fields = ("user",)
    verbose_name_plural = "members"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user", "team")


class TeamForm(ModelForm):
    """A team, whose short name is made from its name where none is given."""

    class Meta:
        model = Team
        fields = ("name", "slug", "is_active", "openrouter_key", "time_zone")

    def clean_time_zone(self) -> str:
        return self.cleaned_data["time_zone"] or DEFAULT_TIME_ZONE

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"] or slugify(self.cleaned_data.get("name", ""))
        if not slug:
            raise ValidationError("Give one: none can be made from this name.")
        return slug


class TeamFormOfSuperusers(TeamForm):
    """A team, and where notices of its budgets go. A field of the form itself: the model has the encrypted text."""

    webhook_url = forms.URLField(
        label="Webhook",
        required=False,
        max_length=LONGEST_URL,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text="Told of budgets that are nearly spent, with a POST of JSON (docs/budgets.md). Empty: nobody is. "
        "Stored encrypted.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            self.initial["webhook_url"] = self.instance.webhook_url
        except Undecipherable:
            self.fields["webhook_url"].help_text = UNDECIPHERABLE_WEBHOOK

    def clean_webhook_url(self) -> str:
        url: str = self.cleaned_data["webhook_url"]
        refusal = refusal_now(url) if url else None
        if refusal:
            raise ValidationError(refusal)
        return url


@admin.register(Team)
class TeamAdmin(BridgeAdmin):
    """Teams, with their members."""

    scope = by_team("pk")
    team_admins_may = frozenset({"view", "change"})
    form = TeamFormOfSuperusers

    intro = "A team shares model aliases and a bill. While it is off, every key of it is refused."
    empty_hint = "Make a team, put members into it, then give each a personal key."
    list_display: tuple[str, ...] = ("name", "active", "members", "usable_keys", "openrouter_key", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("openrouter_key",)
    search_fields = ("name", "slug")
    autocomplete_fields = ("openrouter_key",)
    readonly_fields = ("created_at",)
    ordering = ("name",)
    superusers_decide = ("slug", "is_active", "time_zone")
    actions = ("enable", "disable")
    inlines = [MembersOfTeam]
    fieldsets = (
        (None, {"fields": ("name", "slug", "is_active", "openrouter_key", "created_at")}),
        ("Budgets", {"fields": ("time_zone", "webhook_url")}),
    )
    fieldsets_of_team_admins = (fieldsets[0], ("Budgets", {"fields": ("time_zone",)}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        keys = Count("memberships__api_keys", filter=usable_now("memberships__api_keys__"), distinct=True)
        members = Count("memberships", distinct=True)
        teams: QuerySet[Team] = super().get_queryset(request)
        return teams.annotate(member_count=members, usable_key_count=keys)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not is_superuser(request):
            kwargs["form"] = TeamForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The address of a webhook is encrypted anew only where it is another: else the log would tell of a change."""
        if "webhook_url" in form.changed_data:
            obj.webhook_url = form.cleaned_data["webhook_url"]
        super().save_model(request, obj, form, change)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Where a webhook leads often is a secret, and whose server calls it is not a team's to decide."""
        return self.fieldsets if is_superuser(request) else self.fieldsets_of_team_admins

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = super().get_readonly_fields(request, obj)
        return fields if is_superuser(request) else (*fields, *self.superusers_decide)

    @display(description="active", ordering="is_active", boolean=True)
    def active(self, team: Team) -> bool:
        return team.is_active

    @display(description="members", ordering="member_count")
    def members(self, team: Any) -> int:
        return int(team.member_count)

    @display(description="usable keys", ordering="usable_key_count")
    def usable_keys(self, team: Any) -> int:
        return int(team.usable_key_count)

    @admin.action(description="Enable", permissions=["superuser"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Team]) -> None:
        self._switch(request, queryset, on=True)

    @admin.action(description="Disable: refuse every key", permissions=["superuser"])
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


# --- members ---------------------------------------------------------------------------------------------------------


class RoleForm(ModelForm):
    """A member's role, which only those give out who have it."""

    actor: User  # whoever fills this form in; the page says who

    class Meta:
        model = Membership
        fields = ("team", "role", "openrouter_key")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        team = cleaned.get("team") or (self.instance.team if self.instance.team_id else None)
        if team is not None and cleaned.get("role") == Membership.Role.OWNER and not self.actor.owns(team.pk):
            self.add_error("role", OWNERS_MAKE_OWNERS)
        return cleaned


class InvitationForm(RoleForm):
    """Somebody for a team, by email: who invites need not see who else is known here."""

    email = forms.EmailField(widget=UnfoldAdminEmailInputWidget, help_text=INVITE)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        known = Membership.objects.filter(user__email__iexact=cleaned.get("email", ""), team=cleaned.get("team"))
        if known.exists():
            self.add_error("email", "A member of this team already.")
        return cleaned


@admin.register(Membership)
class MembershipAdmin(BridgeAdmin):
    """Who is in which team. From here a member gets a key."""

    scope = by_team("team")
    team_admins_may = frozenset({"view", "add", "change", "delete"})
    form = RoleForm
    intro = "A user's place in a team. Personal keys belong to a member: removing one removes their keys in that team."
    empty_hint = "Add somebody to a team by email, then make a personal key from the row's menu."
    list_display = ("user", "team", "shown_role", "usable_keys", "created_at")
    list_filter = (("team", RelatedFilter), "role")
    search_fields = ("user__email", "user__first_name", "user__last_name", "team__name")
    ordering = ("team__name", "user__email")
    autocomplete_fields = ("team", "openrouter_key")
    readonly_fields = ("created_at",)
    actions_row = ("make_key",)
    actions_detail = ("make_key", "make_openrouter_key")
    fieldsets = ((None, {"fields": ("user", "team", "role", "openrouter_key", "created_at")}),)
    add_fieldsets = ((None, {"fields": ("email", "team", "role", "openrouter_key")}),)

    def may(self, request: HttpRequest, what: str, obj: Any = None) -> bool:
        """An owner's place is an owner's to change."""
        if not super().may(request, what, obj):
            return False
        is_owners = isinstance(obj, Membership) and obj.role == Membership.Role.OWNER
        return what == "view" or not is_owners or request.user.owns(obj.team_id)  # type: ignore[union-attr]  # signed in

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        keys = Count("api_keys", filter=usable_now("api_keys__"))
        members: QuerySet[Membership] = super().get_queryset(request)
        return members.select_related("user", "team").annotate(usable_key_count=keys)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = super().get_readonly_fields(request, obj)
        return (*(name for name in fields if name not in {"user", "team"}), "user", "team") if obj else fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = InvitationForm
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.actor = request.user
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.user = ensure_user(form.cleaned_data["email"])
        super().save_model(request, obj, form, change)

    @display(description="role", ordering="role", label=ROLE_COLOURS)
    def shown_role(self, membership: Membership) -> str:
        return membership.role

    @display(description="usable keys", ordering="usable_key_count")
    def usable_keys(self, membership: Any) -> int:
        return int(membership.usable_key_count)

    # --- what hangs on a member ---

    def has_make_key_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view", obj) and self.may(request, "add")

    @page_action(description="Make a personal key", url_path="make-key", icon="key", permissions=["make_key"])
    def make_key(self, request: HttpRequest, object_id: str) -> HttpResponseRedirect:
        member = self.row_or_404(request, object_id)
        return redirect(f"{reverse('admin:accounts_apikey_add')}?membership={member.pk}")

    def has_openrouter_key_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request) and has_management_key()

    @page_action(
        description="Make an OpenRouter key",
        url_path="make-openrouter-key",
        icon="credit_card",
        permissions=["openrouter_key"],
    )
    def make_openrouter_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A key of OpenRouter's for one member, with a limit that OpenRouter holds."""
        member = self.row_or_404(request, object_id)
        form = CapForm(request.POST or None)
        if form.is_valid():
            try:
                key = make_managed_key(member, cap=form.cap)
            except OpenRouterRefused as error:
                form.add_error(None, str(error))
            else:
                self.message_user(request, f"{key} pays for {member} from now on.", messages.SUCCESS)
                return redirect("admin:accounts_openrouterkey_change", key.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"An OpenRouter key for {member}",
            "form": form,
            "button": "Make it",
            "explanation": "OpenRouter makes a key that pays for this member alone, and refuses it past the limit.",
        }
        return TemplateResponse(request, "admin/accounts/question.html", context)
