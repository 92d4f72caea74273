"""The page on which budgets are kept: how much may be spent, and how much of it is."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField, ExpressionWrapper, F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from accounts.admin_base import BridgeAdmin, ModelForm, RelatedFilter, in_one_line
from accounts.models import User
from accounts.scope import by_team, is_superuser
from usage.display import dollars, exact_dollars
from usage.models import Budget
from usage.pricing import picodollars, usd
from usage.services.budgets.counting import THRESHOLDS, count_anew_where_needed, present

HARD, WARN_ONLY = "hard", "warn only"
SUBJECTS = {"team": "whole team", "member": "one member", "key": "one personal key"}
OF_THE_TEAM = {"membership": None, "api_key": None}
#: What a counter counts is a 64-bit integer of picodollars.
MOST_USD = Decimal(9_000_000)
SUPERUSERS_SET_THE_TEAMS = (
    "Choose a member or a personal key: a budget of the whole team is set by whoever keeps this server."
)


class SubjectFilter(DropdownFilter):
    """Budgets of teams, of members or of keys."""

    title = "for"
    parameter_name = "subject"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(SUBJECTS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> QuerySet[Budget]:
        conditions: dict[str, dict[str, Any]] = {
            "team": OF_THE_TEAM,
            "member": {"membership__isnull": False},
            "key": {"api_key__isnull": False},
        }
        return queryset.filter(**conditions.get(self.value() or "", {}))


class BudgetForm(ModelForm):
    """A budget, its amount in USD. What it is for stays as it was: what is spent of it hangs on that."""

    actor: User  # whoever fills this form in; the page says who

    amount = forms.DecimalField(
        label="Amount (USD)",
        min_value=usd(1),
        max_value=MOST_USD,
        decimal_places=12,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="What may be spent in one period, to the last 10^-12 USD.",
    )

    class Meta:
        model = Budget
        fields = ("team", "membership", "api_key", "period", "is_hard")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["amount"] = exact_dollars(self.instance.amount).strip("$").replace(",", "")

    def clean_amount(self) -> int:
        return picodollars(self.cleaned_data["amount"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.instance.amount = cleaned.get("amount", self.instance.amount)
        if cleaned.get("membership") and cleaned.get("api_key"):
            self.add_error("api_key", "Choose a member or a key, not both.")
        is_new = self.instance.pk is None
        is_of_the_team = not cleaned.get("membership") and not cleaned.get("api_key")
        if is_new and is_of_the_team and not self.actor.is_superuser and not self.errors:
            raise ValidationError(SUPERUSERS_SET_THE_TEAMS)
        return cleaned


@admin.register(Budget)
class BudgetAdmin(BridgeAdmin):
    """Budgets, with what is spent and reserved of each in its present period."""

    scope = by_team("team")
    team_admins_may = frozenset({"view", "add", "change", "delete"})
    form = BudgetForm
    intro = (
        "How much a team, a member or a key may spend in a day, a week or a month. A hard budget refuses what is more; "
        "every one gives notice at 75 % and 95 %."
    )
    empty_hint = "Without any, spending is limited only by the OpenRouter keys."
    list_display = ("whose", "team", "shown_period", "shown_amount", "spent", "reserved", "remaining", "used", "kind")
    list_filter = (("team", RelatedFilter), SubjectFilter, ("period", ChoicesDropdownFilter), "is_hard")
    search_fields = ("team__name", "membership__user__email", "api_key__name", "api_key__membership__user__email")
    search_help_text = "A team's name, a member's email, or a key's name."
    ordering = ("team__name", "pk")
    autocomplete_fields = ("team", "membership", "api_key")
    readonly_fields = ("spent", "reserved", "remaining", "used", "shown_start", "shown_end", "created_at")
    add_fieldsets = (
        ("For whom", {"fields": ("team", "membership", "api_key")}),
        ("How much", {"fields": ("amount", "period", "is_hard")}),
    )
    fieldsets = (
        ("For whom", {"fields": ("team", "membership", "api_key")}),
        ("How much", {"fields": ("amount", "period", "is_hard")}),
        ("This period", {"fields": ("shown_start", "shown_end", "spent", "reserved", "remaining", "used")}),
        ("Dates", {"fields": ("created_at",)}),
    )

    def may(self, request: HttpRequest, what: str, obj: Any = None) -> bool:
        """A team does not lift its own cap: the whole team's budget is its administrators' to see only."""
        if not super().may(request, what, obj):
            return False
        is_the_teams = isinstance(obj, Budget) and obj.membership_id is None and obj.api_key_id is None
        return what == "view" or not is_the_teams or is_superuser(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        related = ("team", "membership__user", "membership__team", "api_key", "counter")
        left = F("amount") - F("counter__spent") - F("counter__reserved")
        budgets: QuerySet[Budget] = super().get_queryset(request)
        return budgets.select_related(*related).annotate(
            left=ExpressionWrapper(left, output_field=BigIntegerField()),
            share=F("counter__spent") / (F("amount") / 1000 + 1),
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fieldsets(request, obj) if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = super().get_readonly_fields(request, obj)
        subject = ("team", "membership", "api_key") if obj else ()
        return (*subject, *(name for name in fields if name not in subject))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.actor = request.user
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        count_anew_where_needed([Budget.objects.select_related("counter", "team").get(pk=obj.pk)])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        """Those that whoever sent this may delete, one by one, so that the others stay."""
        for budget in queryset:
            if self.may(request, "delete", budget):
                budget.delete()

    # --- what it is ---

    @display(description="for", ordering="membership__user__email")
    def whose(self, budget: Budget) -> str:
        return budget.whose

    @display(description="per", ordering="period")
    def shown_period(self, budget: Budget) -> str:
        return budget.period

    @display(description="amount", ordering="amount")
    def shown_amount(self, budget: Budget) -> str:
        return exact_dollars(budget.amount)

    @display(description="kind", ordering="is_hard", label={HARD: "primary", WARN_ONLY: "info"})
    def kind(self, budget: Budget) -> str:
        return HARD if budget.is_hard else WARN_ONLY

    # --- what is left of it ---

    @display(description="spent", ordering="counter__spent")
    def spent(self, budget: Budget) -> str:
        return dollars(present(budget).spent)

    @display(description="reserved", ordering="counter__reserved")
    def reserved(self, budget: Budget) -> str:
        return dollars(present(budget).reserved)

    @display(description="remaining", ordering="left")
    def remaining(self, budget: Budget) -> str:
        counter = present(budget)
        return dollars(max(0, budget.amount - counter.spent - counter.reserved))

    @display(description="used", ordering="share")
    def used(self, budget: Budget) -> str:
        percent = 100 * present(budget).spent // budget.amount
        return format_html(
            '<meter max="100" low="{}" high="{}" optimum="0" value="{}" aria-label="spent" class="w-24"></meter> {}',
            *(threshold - 1 for threshold in THRESHOLDS),
            min(percent, 100),
            in_one_line(f"{percent} %"),
        )

    @display(description="began")
    def shown_start(self, budget: Budget) -> str:
        return _local(budget, budget.calendar.start(timezone.now()))

    @display(description="begins anew")
    def shown_end(self, budget: Budget) -> str:
        return _local(budget, budget.calendar.end(timezone.now()))


def _local(budget: Budget, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(budget.team.time_zone)):%d %b %Y %H:%M} ({budget.team.time_zone})"
