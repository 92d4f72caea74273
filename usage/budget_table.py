"""Budgets at a glance: how much of each is spent, the nearest to its end first."""

from collections.abc import Collection
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils import timezone

from usage import charts
from usage.display import dollars, exact_dollars
from usage.models import Budget
from usage.services.budgets.counting import present
from usage.tables import Cell, Table

HEADERS = ("", "Used", "Spent", "Reserved", "Amount", "Begins anew")


def budgets_at_a_glance(teams: Collection[int] | None, most: int) -> Table:
    """Of the budgets of `teams` (None: of all) the `most` that are used up the furthest."""
    budgets = Budget.objects.select_related("team", "membership__user", "membership__team", "api_key", "counter")
    seen = list(budgets if teams is None else budgets.filter(team__in=teams))
    shown = sorted(seen, key=lambda budget: -present(budget).spent / budget.amount)[:most]
    note = f"{len(seen) - most} others are used less." if len(seen) > most else ""
    return Table("budgets", "Budgets", HEADERS, [_row(budget) for budget in shown], note)


def _row(budget: Budget) -> list[Cell]:
    counter = present(budget)
    used = min(counter.spent, budget.amount)
    kind = "hard" if budget.is_hard else "warn only"
    end = budget.calendar.end(timezone.now()).astimezone(ZoneInfo(budget.team.time_zone))
    return [
        Cell(budget.whose, reverse("admin:usage_budget_change", args=[budget.pk]), f"{budget.period}, {kind}"),
        Cell(f"{100 * counter.spent // budget.amount} %", bar=charts.share(used, budget.amount)),
        Cell(dollars(counter.spent), hint=exact_dollars(counter.spent)),
        Cell(dollars(counter.reserved), hint=exact_dollars(counter.reserved)),
        Cell(dollars(budget.amount), hint=exact_dollars(budget.amount)),
        Cell(f"{end:%d %b %H:%M}", hint=str(budget.team.time_zone)),
    ]
