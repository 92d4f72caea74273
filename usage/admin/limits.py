"""The page on which it is said how much may be asked for in a minute, and at the same time."""

from typing import Any

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.admin_base import BridgeAdmin, ModelForm, RelatedFilter
from accounts.scope import by_team
from usage.display import count
from usage.models import Limit


class LimitForm(ModelForm):
    """A limit that limits something."""

    class Meta:
        model = Limit
        fields = ("team", "applies_to", "membership", "api_key", *Limit.AMOUNTS)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors.keys() & Limit.AMOUNTS and all(cleaned.get(name) is None for name in Limit.AMOUNTS):
            self.add_error(Limit.AMOUNTS[0], "Limit at least one of the three.")
        return cleaned


@admin.register(Limit)
class LimitAdmin(BridgeAdmin):
    """Limits of a team, of its members, of their keys."""

    scope = by_team("team")
    team_admins_may = frozenset({"view", "add", "change", "delete"})
    intro = "How much may be asked for: what goes beyond is refused with 429, and Claude Code tries it again by itself."
    empty_hint = (
        "Nothing is limited. A limit may be for a team as a whole, for each of its members, for one, or for a key."
    )
    form = LimitForm
    list_display = ("subject", "team", "requests", "tokens", "concurrent")
    list_filter = (("team", RelatedFilter), ("applies_to", ChoicesDropdownFilter))
    list_select_related = ("team", "membership__user", "api_key__membership__user")
    search_fields = ("team__name", "membership__user__email", "api_key__name", "api_key__prefix")
    autocomplete_fields = ("team", "membership", "api_key")
    radio_fields = {"applies_to": admin.VERTICAL}
    fieldsets = (
        ("For whom", {"fields": ("team", "applies_to", "membership", "api_key")}),
        ("How much", {"fields": Limit.AMOUNTS}),
    )

    @display(description="for", ordering="applies_to", header=True)
    def subject(self, limit: Limit) -> tuple[str, str]:
        return limit.subject, f"of {limit.api_key.membership.user}" if limit.api_key else ""

    @display(description="requests a minute", ordering="requests_per_minute")
    def requests(self, limit: Limit) -> str:
        return count(limit.requests_per_minute)

    @display(description="tokens a minute", ordering="tokens_per_minute")
    def tokens(self, limit: Limit) -> str:
        return count(limit.tokens_per_minute)

    @display(description="at the same time", ordering="concurrent_requests")
    def concurrent(self, limit: Limit) -> str:
        return count(limit.concurrent_requests)
