"""The page on which OpenRouter's keys are kept: they go in and are never seen again."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget

from accounts.admin_base import (
    KEEPS_THE_OLD_ONE,
    BridgeAdmin,
    ModelForm,
    RelatedFilter,
    SecretField,
    in_one_line,
    page_action,
)
from accounts.models import OpenRouterKey
from accounts.openrouter import PICODOLLARS, Cap, OpenRouterRefused, picodollars
from accounts.scope import by_team, is_superuser
from accounts.services import (
    cap_managed_key,
    delete_openrouter_key,
    refresh_openrouter_key,
    save_openrouter_key,
)

#: OpenRouter is asked while the browser waits.
MOST_AT_ONCE = 20


def has_management_key() -> bool:
    return bool(settings.OPENROUTER_MANAGEMENT_KEY)


def dollars(amount: int | None) -> str:
    return "" if amount is None else f"${Decimal(amount) / PICODOLLARS:,.2f}"


class CapForm(forms.Form):
    """How much a key made from here may spend."""

    limit = forms.DecimalField(
        label="Limit (USD)",
        min_value=Decimal("0.01"),
        max_value=Decimal(1_000_000),
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reset = forms.ChoiceField(
        label="The limit begins anew",
        choices=OpenRouterKey.Reset.choices,
        initial=OpenRouterKey.Reset.MONTHLY,
        required=False,
        widget=UnfoldAdminSelectWidget,
    )

    @property
    def cap(self) -> Cap:
        return Cap(picodollars(self.cleaned_data["limit"]) or 0, self.cleaned_data["reset"])


class OpenRouterKeyForm(ModelForm):
    """A name and, going in only, the key itself."""

    secret = SecretField(
        label="Key", help_text="From openrouter.ai/settings/keys. Stored encrypted, never shown again."
    )

    class Meta:
        model = OpenRouterKey
        fields = ("name", "team")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["secret"].required = False
            self.fields["secret"].help_text = KEEPS_THE_OLD_ONE


@admin.register(OpenRouterKey)
class OpenRouterKeyAdmin(BridgeAdmin):
    """OpenRouter's keys, and what OpenRouter says of them."""

    scope = by_team("team")
    team_admins_may = frozenset({"view", "add", "change", "delete"})
    intro = "A personal key's own OpenRouter key pays, else its member's, else its team's, else the server's."
    empty_hint = "Without any, the server's OPENROUTER_API_KEY pays for everybody."
    form = OpenRouterKeyForm
    list_display = ("name", "team", "shown_hint", "pays_for", "left", "expires", "checked")
    list_filter = (("team", RelatedFilter),)
    list_select_related = ("team",)
    search_fields = ("name", "team__name")
    ordering = ("name",)
    autocomplete_fields = ("team",)
    readonly_fields = (
        "shown_hint",
        "created_at",
        "spent",
        "left",
        "expires_at",
        "checked_at",
        "check_error",
        "managed_id",
    )
    actions = ("refresh_selected",)
    actions_detail = ("refresh", "cap")
    add_fieldsets = ((None, {"fields": ("name", "team", "secret")}),)
    fieldsets = (
        (None, {"fields": ("name", "team", "shown_hint", "secret", "created_at")}),
        ("At OpenRouter", {"fields": ("spent", "left", "expires_at", "checked_at", "check_error", "managed_id")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[OpenRouterKey]:
        paid = {name: Count(name, distinct=True) for name in ("teams", "members", "api_keys")}
        keys: QuerySet[OpenRouterKey] = super().get_queryset(request)
        return keys.annotate(**{f"{name}_paid": count for name, count in paid.items()})

    @display(description="ends in")
    def shown_hint(self, key: OpenRouterKey) -> str:
        return f"…{key.hint}"

    @display(description="pays for")
    def pays_for(self, key: Any) -> str:
        counts = {"team": key.teams_paid, "member": key.members_paid, "personal key": key.api_keys_paid}
        return ", ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count)

    @display(description="used")
    def spent(self, key: OpenRouterKey) -> str:
        return dollars(key.usage)

    @display(description="left", ordering="limit_remaining")
    def left(self, key: OpenRouterKey) -> str:
        if key.checked_at is None or key.usage is None:
            return "not known yet"
        if key.limit is None:
            return "no limit"
        period = f" {key.limit_reset}" if key.limit_reset else ""
        return in_one_line(f"{dollars(key.limit_remaining)} of {dollars(key.limit)}{period}")

    @display(description="expires", ordering="expires_at")
    def expires(self, key: OpenRouterKey) -> str:
        return in_one_line(f"{key.expires_at:%d %b %Y}") if key.expires_at else ""

    @display(description="checked (UTC)", ordering="checked_at", header=True)
    def checked(self, key: OpenRouterKey) -> tuple[str, str]:
        return in_one_line(f"{key.checked_at:%d %b %H:%M}") if key.checked_at else "never", key.check_error

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        secret = form.cleaned_data.get("secret")
        if secret:
            save_openrouter_key(obj, secret=secret)
        else:
            super().save_model(request, obj, form, change)

    # --- at OpenRouter ---

    @admin.action(description="Ask OpenRouter what is left", permissions=["change"])
    def refresh_selected(self, request: HttpRequest, queryset: QuerySet[OpenRouterKey]) -> None:
        for key in queryset[:MOST_AT_ONCE]:
            self._refresh(request, key)

    @page_action(description="Ask OpenRouter what is left", url_path="refresh", icon="refresh", permissions=["change"])
    def refresh(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.row_or_404(request, object_id)
        if request.method == "POST":  # a link somewhere else must not have OpenRouter asked
            self._refresh(request, key)
            return redirect("admin:accounts_openrouterkey_change", key.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"What is left of {key}?",
            "form": forms.Form(),
            "button": "Ask OpenRouter",
            "explanation": "OpenRouter says what the key may spend, what it has spent, and when it expires.",
        }
        return TemplateResponse(request, "admin/accounts/question.html", context)

    def _refresh(self, request: HttpRequest, key: OpenRouterKey) -> None:
        failure = refresh_openrouter_key(key)
        if failure:
            self.message_user(request, f"{key}: {failure}", messages.ERROR)
        else:
            self.message_user(request, f"{key}: {self.left(key)}.", messages.SUCCESS)

    def has_cap_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only keys that were made from here are OpenRouter's management key to cap."""
        if not is_superuser(request) or not has_management_key():
            return False
        key = self.get_object(request, unquote(str(obj))) if obj is not None else None
        return obj is None or bool(key and key.managed_id)

    @page_action(description="Change the limit", url_path="cap", icon="speed", permissions=["cap"])
    def cap(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.row_or_404(request, object_id)
        form = CapForm(request.POST or None)
        if form.is_valid():
            try:
                cap_managed_key(key, cap=form.cap)
            except OpenRouterRefused as error:
                form.add_error(None, str(error))
            else:
                self.log_change(request, key, "Changed the limit.")
                self.message_user(request, f"{key}: {self.left(key)}.", messages.SUCCESS)
                return redirect("admin:accounts_openrouterkey_change", key.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"The limit of {key}",
            "form": form,
            "button": "Change it",
            "explanation": "OpenRouter refuses the key once it has spent so much.",
        }
        return TemplateResponse(request, "admin/accounts/question.html", context)

    # --- deleting ---

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Keys are deleted one by one: each may have to be deleted at OpenRouter, which may refuse."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except OpenRouterRefused as error:
            self.message_user(request, f"Not deleted. {error}", messages.ERROR)
            return redirect("admin:accounts_openrouterkey_change", object_id)

    def delete_model(self, request: HttpRequest, obj: OpenRouterKey) -> None:
        delete_openrouter_key(obj)
