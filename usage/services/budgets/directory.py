"""Owns which hard budgets a request is held to: a snapshot of all, read again only after the configuration has changed.

Reading it also sees to it that every budget has a counter that counts by its present periods.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts.authentication import Caller
from accounts.snapshot import Snapshot
from usage.models import Budget
from usage.periods import Calendar
from usage.services.budgets.counting import count_anew_where_needed


@dataclass(frozen=True, slots=True)
class HardBudget:
    """A row of Budget that is hard, as admission needs it."""

    id: int
    whose: str
    calendar: Calendar
    user_id: int | None
    key_id: int | None

    def applies_to(self, caller: Caller) -> bool:
        return self.user_id in {None, caller.user_id} and self.key_id in {None, caller.key_id}


Directory = Mapping[int, tuple[HardBudget, ...]]


def load() -> Directory:
    """The hard budgets of each team."""
    budgets = all_budgets()
    count_anew_where_needed(budgets)
    found: dict[int, tuple[HardBudget, ...]] = {}
    for budget in budgets:
        if budget.is_hard:
            found[budget.team_id] = (*found.get(budget.team_id, ()), _hard(budget))
    return found


def all_budgets() -> list[Budget]:
    """Every budget, with what its name, its periods and its counter take."""
    related = ("team", "membership__user", "membership__team", "api_key", "counter")
    return list(Budget.objects.select_related(*related).order_by("pk"))


def _hard(budget: Budget) -> HardBudget:
    user_id = None if budget.membership is None else budget.membership.user_id
    return HardBudget(budget.pk, budget.whose, budget.calendar, user_id, budget.api_key_id)


hard_budgets: Snapshot[Directory] = Snapshot(load)
