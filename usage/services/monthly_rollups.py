"""Owns the sums of months that are over: a report over a year reads twelve of them rather than 365 days.

They follow from the rollups of the days. Whoever makes a day anew forgets its month in the same transaction; until that
is made again, reports read its days.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from usage.days import month_of, today
from usage.models import DailyFigure, DailySession, DailyTiming, DailyUsage, RolledMonth

ROWS_AT_ONCE = 500
TEAM = ("team_id", "team_name")
#: What tells the rows of each table apart, but for the day; all other columns are added up.
KEYS: dict[type[DailyFigure], tuple[str, ...]] = {
    DailyUsage: (
        *(*TEAM, "user_id", "email", "api_key_id", "key_name"),
        *("requested_model", "model", "provider", "error_type"),
    ),
    DailyTiming: (*TEAM, "model", "measure", "bucket"),
    DailySession: (*TEAM, "session_id", "email"),
}
NEITHER = frozenset({"id", "day", "is_month", "is_final"})


def months_to_make() -> list[date]:
    """The months that are over and not added up, oldest first."""
    this_month = month_of(today())[0]
    waiting = RolledMonth.objects.filter(made_at=None, month__lt=this_month).order_by("month")
    return list(waiting.values_list("month", flat=True))


def made_months(first: date, last: date) -> list[date]:
    """The months that are added up and lie between two days as a whole."""
    made = RolledMonth.objects.filter(made_at__isnull=False, month__gte=first, month__lte=last).order_by("month")
    return [month for month in made.values_list("month", flat=True) if month_of(month)[1] <= last]


def forget_month(day: date) -> None:
    """The month of `day` holds no longer. In the transaction that changes the day: it keeps others from making it."""
    month = month_of(day)[0]
    _lock(month, made_at=None)
    _drop(month)


@transaction.atomic
def roll_up_month(month: date) -> None:
    """Add up the days of `month`."""
    _lock(month, made_at=timezone.now())
    _drop(month)
    for table in KEYS:
        rows = (table(day=month, is_month=True, **row) for row in _sums(table, month))
        table._default_manager.bulk_create(rows, batch_size=ROWS_AT_ONCE)


def _lock(month: date, made_at: datetime | None) -> None:
    RolledMonth.objects.bulk_create(
        [RolledMonth(month=month, made_at=made_at)],
        update_conflicts=True,
        unique_fields=["month"],
        update_fields=["made_at"],
    )


def _drop(month: date) -> None:
    for table in KEYS:
        table._default_manager.filter(day=month, is_month=True).delete()


def _sums(table: type[DailyFigure], month: date) -> Iterator[dict[str, Any]]:
    keys = KEYS[table]
    columns = (field.attname for field in table._meta.concrete_fields)
    added = {f"sum_{name}": Sum(F(name)) for name in columns if name not in NEITHER and name not in keys}
    days = table._default_manager.filter(is_month=False, day__range=month_of(month)).order_by()
    for row in days.values(*keys).annotate(**added).iterator():
        yield {name.removeprefix("sum_"): value for name, value in row.items()}
