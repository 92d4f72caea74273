"""The page on which superusers say what a team may use. The team's administrators read it there."""

from typing import Any

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.admin_base import BridgeAdmin, ModelForm, RelatedFilter
from accounts.globs import split_globs
from accounts.models import Policy
from accounts.scope import by_team

MOST_SHOWN = 3
PROVIDERS = (
    "OpenRouter is told these with every request of the team's. A provider beside OpenRouter is used only where "
    "nothing here demands what it cannot be held to: no deny, no zero data retention, no list of those that alone may "
    "serve."
)
LIMITS = "Of this and what an alias says, the lower counts."


class PolicyForm(ModelForm):
    """A policy, its lists without blank lines."""

    class Meta:
        model = Policy
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in ("allowed_models", "denied_models", "only_providers", "ignored_providers"):
            if name in cleaned:
                cleaned[name] = "\n".join(split_globs(cleaned[name]))
        only, ignored = (split_globs(cleaned.get(name, "")) for name in ("only_providers", "ignored_providers"))
        if only and set(only) <= set(ignored):
            self.add_error("ignored_providers", "This leaves none of the providers that alone may serve.")
        return cleaned


@admin.register(Policy)
class PolicyAdmin(BridgeAdmin):
    """What superusers impose on teams. A team's administrators could lift what they may write, so they read."""

    scope = by_team("team")
    team_admins_may = frozenset({"view"})
    intro = "What a team may use, and on what terms, whatever its aliases and requests say. Superusers write it."
    empty_hint = "A team without a policy may use every model; its aliases alone say how."
    form = PolicyForm
    list_display = ("team", "models", "data", "limits", "addendum")
    list_filter = (("team", RelatedFilter), ("data_collection", ChoicesDropdownFilter), "zdr")
    list_select_related = ("team",)
    search_fields = ("team__name", "allowed_models", "denied_models", "only_providers", "ignored_providers")
    autocomplete_fields = ("team",)
    fieldsets = (
        (None, {"fields": ("team",)}),
        ("Models", {"fields": ("allowed_models", "denied_models")}),
        (
            "Who may see prompts, and at what price",
            {
                "fields": (
                    "data_collection",
                    "zdr",
                    "only_providers",
                    "ignored_providers",
                    "sort",
                    "max_prompt_price",
                    "max_completion_price",
                ),
                "description": PROVIDERS,
            },
        ),
        ("Limits", {"fields": ("max_output", "max_effort"), "description": LIMITS}),
        ("What every model is told besides", {"fields": ("system_addendum",)}),
    )

    @display(description="models")
    def models(self, policy: Policy) -> str:
        allowed, denied = split_globs(policy.allowed_models), split_globs(policy.denied_models)
        return _some(allowed) + (f"; not {_some(denied)}" if denied else "") if allowed or denied else "all"

    @display(description="data", label=True)
    def data(self, policy: Policy) -> list[str]:
        said = {
            policy.data_collection: bool(policy.data_collection),
            "zdr": policy.zdr,
            "only": bool(policy.only_providers),
            "never": bool(policy.ignored_providers),
        }
        return [word for word, is_said in said.items() if is_said]

    @display(description="at most")
    def limits(self, policy: Policy) -> str:
        output = f"{policy.max_output:,} tokens" if policy.max_output else ""
        prices = [policy.max_prompt_price, policy.max_completion_price]
        price = " / ".join("any" if each is None else f"${each.normalize():f}" for each in prices)
        has_price = any(each is not None for each in prices)
        return ", ".join(part for part in (output, policy.max_effort, f"{price} per M" if has_price else "") if part)

    @display(description="addendum", label={"yes": "info"})
    def addendum(self, policy: Policy) -> str:
        return "yes" if policy.system_addendum else ""


def _some(entries: tuple[str, ...]) -> str:
    more = len(entries) - MOST_SHOWN
    return ", ".join(entries[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
