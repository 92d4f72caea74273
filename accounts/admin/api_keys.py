"""The page on which personal keys are made, shown once, rotated and revoked."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from accounts import audit
from accounts.admin.teams import usable_now
from accounts.admin_base import BridgeAdmin, RelatedFilter, in_one_line, page_action
from accounts.models import ApiKey
from accounts.scope import by_team
from accounts.services import create_api_key, revoke_api_key, rotate_api_key

USABLE, EXPIRED, REVOKED = "usable", "expired", "revoked"
STATE_COLOURS = {USABLE: "success", EXPIRED: "warning", REVOKED: "danger"}
GRACE = {
    "0": "not at all: refuse it now",
    "1": "for an hour",
    "24": "for a day",
    "168": "for a week",
    "720": "for 30 days",
}
A_DAY = "24"


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


class RotationForm(forms.Form):
    """How long the text that a key has now stays good beside the new one."""

    grace = forms.ChoiceField(
        label="The present key is accepted",
        choices=GRACE.items(),
        initial=A_DAY,
        widget=UnfoldAdminSelectWidget,
        help_text="Time to put the new one wherever the present one is used.",
    )

    @property
    def hours(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["grace"]))


@admin.register(ApiKey)
class ApiKeyAdmin(BridgeAdmin):
    """Personal keys: made, shown once, rotated, revoked."""

    scope = by_team("membership__team")
    team_admins_may = frozenset({"view", "add", "change", "delete"})
    intro = (
        "What a member puts into Claude Code. Only its beginning is kept readable: a lost key is rotated, or revoked."
    )
    empty_hint = "Add a key for a member. Its text is shown once, with the lines that connect Claude Code."
    list_display = ("name", "member", "team", "shown_prefix", "state", "last_used", "expires", "created")
    list_filter = (StateFilter, ("membership__team", RelatedFilter), "created_at", "last_used_at")
    list_select_related = ("membership__user", "membership__team")
    search_fields = ("membership__user__email", "name", "prefix", "membership__team__name")
    ordering = ("-created_at",)
    autocomplete_fields = ("membership", "openrouter_key")
    actions = ("revoke_selected",)
    actions_detail = ("rotate", "revoke")
    add_fieldsets = (
        (None, {"fields": ("membership", "name", "expires_at")}),
        ("What it may", {"fields": ("allowed_models", "openrouter_key")}),
    )
    fieldsets = (
        (None, {"fields": ("name", "membership", "shown_prefix", "state")}),
        ("What it may", {"fields": ("allowed_models", "openrouter_key")}),
        ("Dates", {"fields": ("expires_at", "created_at", "last_used_at", "previous_until", "revoked_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).select_related("membership__user", "membership__team")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        kept = ("membership", "shown_prefix", "state", "created_at", "last_used_at", "previous_until", "revoked_at")
        others = super().get_readonly_fields(request, obj)
        return (*kept, *(name for name in others if name not in kept)) if obj else others

    @display(description="member", ordering="membership__user__email")
    def member(self, key: ApiKey) -> str:
        return key.membership.user.email

    @display(description="team", ordering="membership__team__name")
    def team(self, key: ApiKey) -> str:
        return key.membership.team.name

    @display(description="begins with", ordering="prefix")
    def shown_prefix(self, key: ApiKey) -> str:
        return in_one_line(f"sk-brg-{key.prefix}-…")

    @display(description="last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        return in_one_line(f"{key.last_used_at:%d %b %Y %H:%M}") if key.last_used_at else "never"

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
            membership=obj.membership,
            name=obj.name,
            openrouter_key=obj.openrouter_key,
            expires_at=obj.expires_at,
            allowed_models=obj.allowed_models,
        )
        obj.pk, obj.prefix, obj.digest = created.row.pk, created.row.prefix, created.row.digest
        obj.text = created.text  # for response_add, which is handed this object and nothing else

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **only_save})

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._show_once(request, obj, obj.text, "New personal key")

    def _show_once(self, request: HttpRequest, key: ApiKey, text: str, title: str) -> TemplateResponse:
        """The key in the answer itself: in a redirect's cookie or session it would be kept somewhere."""
        audit.note(key, audit.SHOWN)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "key": key,
            "key_text": text,
            "base_url": settings.BASE_URL,
        }
        return TemplateResponse(request, "admin/accounts/apikey/created.html", context)

    # --- rotating ---

    @page_action(description="Rotate", url_path="rotate", icon="autorenew", permissions=["change"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.row_or_404(request, object_id)
        if not key.is_usable:
            self.message_user(request, f"{key} is {self.state(key)}: make a new one instead.", messages.ERROR)
            return redirect("admin:accounts_apikey_change", key.pk)
        form = RotationForm(request.POST or None)
        if form.is_valid():
            created = rotate_api_key(key, grace=form.hours)
            self.log_change(request, key, "Rotated.")
            return self._show_once(request, created.row, created.text, "The key's new text")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Rotate {key}?",
            "form": form,
            "button": "Rotate",
            "explanation": "It gets a new text, shown once. Its name, member, models and limits stay.",
        }
        return TemplateResponse(request, "admin/accounts/question.html", context)

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
        key = self.row_or_404(request, object_id)
        if request.method != "POST":
            return self._ask_to_revoke(request, [key])
        self._revoke(request, [key])
        return redirect("admin:accounts_apikey_change", key.pk)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        key = self.get_object(request, object_id)
        return list(super().get_actions_detail(request, object_id)) if key and not key.revoked_at else []

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
