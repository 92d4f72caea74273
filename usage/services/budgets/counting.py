"""Owns what budgets have spent: costs are added as their records become final, and counted anew from all records
where a budget is new, or its periods have become others.

Whoever changes a counter locks it first, in the order of the budgets' ids, as the statement on a request's path does.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.models import Q, Sum
from django.utils import timezone

from usage.models import Budget, BudgetCounter, Reservation, UsageRecord
from usage.services.spool import Line

#: The percentages of a budget at which administrators are told of it.
THRESHOLDS = (75, 95)
_COUNTED = ("calendar", "period_start", "spent", "reserved", "noticed")


def present(budget: Budget) -> BudgetCounter:
    """What is counted of it in the present period, which nothing may have begun yet. Writes nothing."""
    start = budget.calendar.start(timezone.now())
    counter: BudgetCounter = getattr(budget, "counter", None) or BudgetCounter(budget=budget, period_start=start)
    counter.roll(start)
    return counter


# --- what the ledger brings ------------------------------------------------------------------------------------------


def settle(lines: Iterable[Line]) -> None:
    """Count the cost of requests whose records have just become final, and give back what they had reserved.

    Part of the transaction that writes the records, after them: a counter that is made anew meanwhile waits for it.
    """
    lines = sorted(lines, key=lambda line: float(line["started_at"]))
    if not lines:
        return
    held = Q(request_id__in=[line["request_id"] for line in lines])
    budgets = _budgets_of(lines)
    counters = _locked({budget.pk for budget in budgets} | _budgets_holding(held))
    _take_back(held, counters)
    for line in lines:
        for budget in budgets:
            counter = counters.get(budget.pk)
            if counter is not None and _applies(budget, line):
                _add(counter, budget, line)
    BudgetCounter.objects.bulk_update(counters.values(), _COUNTED)


def _budgets_of(lines: Iterable[Line]) -> list[Budget]:
    teams = {line["team_id"] for line in lines}
    return list(Budget.objects.filter(team__in=teams).select_related("team", "membership"))


def _applies(budget: Budget, line: Line) -> bool:
    if budget.team_id != line["team_id"]:
        return False
    if budget.membership is not None:
        return budget.membership.user_id == int(line["user_id"])
    return budget.api_key_id is None or budget.api_key_id == int(line["api_key_id"])


def _add(counter: BudgetCounter, budget: Budget, line: Line) -> None:
    """A counter that counts by another calendar is counted anew, with this record; an earlier period is over."""
    if counter.calendar != str(budget.calendar):
        return
    period_start = budget.calendar.start(datetime.fromtimestamp(line["started_at"], UTC))
    counter.roll(period_start)
    if counter.period_start == period_start:
        counter.spent += line["cost"]


# --- reservations that end -------------------------------------------------------------------------------------------


@transaction.atomic
def give_back(which: Q) -> int:
    """Give back the reservations of requests that will not be settled; how many there were."""
    counters = _locked(_budgets_holding(which))
    count = _take_back(which, counters)
    BudgetCounter.objects.bulk_update(counters.values(), ["reserved"])
    return count


def _budgets_holding(which: Q) -> set[int]:
    return set(Reservation.objects.filter(which).values_list("budget_id", flat=True))


def _locked(budgets: set[int]) -> dict[int, BudgetCounter]:
    rows = BudgetCounter.objects.select_for_update().filter(pk__in=budgets).order_by("budget_id")
    return {row.pk: row for row in rows}


def _take_back(which: Q, counters: dict[int, BudgetCounter]) -> int:
    """Delete reservations, and take exactly those from what is reserved, unless their period is over.

    Of budgets that are not locked only what no counter counts any more, because the budget is gone.
    """
    gone = ~Q(budget__in=BudgetCounter.objects.values("pk"))
    held = list(Reservation.objects.filter(which & (Q(budget__in=counters) | gone)))
    Reservation.objects.filter(pk__in=[each.pk for each in held]).delete()
    for each in held:
        counter = counters.get(each.budget_id)
        if counter is not None and counter.period_start == each.period_start:
            counter.reserved -= each.amount
    return len(held)


# --- counting anew ---------------------------------------------------------------------------------------------------


def count_anew_where_needed(budgets: Iterable[Budget]) -> None:
    """Have a counter for each of `budgets` that counts by its present periods."""
    for budget in budgets:
        counter = getattr(budget, "counter", None)
        if counter is None or counter.calendar != str(budget.calendar):
            count_anew(budget)


@transaction.atomic
def count_anew(budget: Budget) -> None:
    """Count what was spent in the present period from the records. What is reserved stays so, in that period.

    No record is written meanwhile: one that the ledger is just bringing would be counted twice, or by nobody.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {UsageRecord._meta.db_table} IN SHARE MODE")
    starts = budget.calendar.start(timezone.now())
    counter, _ = BudgetCounter.objects.get_or_create(budget=budget, defaults={"period_start": starts})
    counter = BudgetCounter.objects.select_for_update().get(pk=counter.pk)
    if counter.calendar == str(budget.calendar):
        return  # another process was quicker
    held = Reservation.objects.filter(budget=budget)
    held.update(period_start=starts)
    counter.calendar, counter.period_start = str(budget.calendar), starts
    counter.spent = _spent_since(budget, starts)
    counter.reserved = held.aggregate(sum=Sum("amount", default=0))["sum"]
    counter.noticed = 0
    counter.save()


def _spent_since(budget: Budget, moment: datetime) -> int:
    records = UsageRecord.objects.filter(team=budget.team_id, started_at__gte=moment)
    if budget.membership is not None:
        records = records.filter(user=budget.membership.user_id)
    elif budget.api_key_id is not None:
        records = records.filter(api_key=budget.api_key_id)
    spent: int = records.aggregate(sum=Sum("cost", default=0))["sum"]
    return spent
