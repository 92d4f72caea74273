"""Owns the rollups: what the records of each day come to, made again whenever records of a day were written.

Records settle late, and are corrected later still. Whoever writes some calls `touch` in the same transaction; a day
that was touched is computed anew from its records, so nothing is counted twice, in whatever order things happen. A day
whose records have been deleted keeps what they came to, and records that come after that are added to it. Months follow
from days: `usage/services/monthly_rollups.py`.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import Case, Count, F, Max, Min, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from usage.days import beginning, day_of, each, end, today
from usage.histogram import BOUNDS, LAST
from usage.models import DailyFigure, DailySession, DailyTiming, DailyUsage, RolledDay, TouchedDay, UsageRecord
from usage.services.lease import turn
from usage.services.monthly_rollups import forget_month, months_to_make, roll_up_month
from usage.services.periodic import periodically

State = UsageRecord.State
CostSource = UsageRecord.CostSource
Measure = DailyTiming.Measure

LEASE = "rollups"
LEASE_SECONDS = 300.0
EVERY_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
#: A day that takes long is made less often: this much of the time is spent on it at most.
LARGEST_SHARE = 0.05
MARKS_AT_ONCE = 10_000
ROWS_AT_ONCE = 500

TABLES: tuple[type[DailyFigure], ...] = (DailyUsage, DailyTiming, DailySession)
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
PROMPT_AND_ANSWER = F("input_tokens") + F("output_tokens") + F("cache_read_tokens") + F("cache_write_tokens")
WHO = ("team_id", "team_name", "user_id", "email", "api_key_id", "key_name")
WHAT = ("requested_model", "model", "provider", "error_type")
MEASURED = {Measure.LATENCY: "latency_ms", Measure.FIRST_TOKEN: "first_byte_ms"}
SUMS: dict[str, Any] = {
    "requests": Count("pk"),
    "open": Count("pk", filter=Q(state=State.OPEN)),
    "completed": Count("pk", filter=Q(state=State.COMPLETED)),
    "errors": Count("pk", filter=Q(state=State.ERROR)),
    "aborted": Count("pk", filter=Q(state=State.ABORTED)),
    "lost": Count("pk", filter=Q(state=State.LOST)),
    **{f"sum_{name}": Sum(name) for name in (*TOKENS, "web_searches", "cost")},
    "estimated_cost": Sum("cost", filter=Q(cost_source=CostSource.CATALOGUE), default=0),
    "unpriced": Count("pk", filter=Q(cost_source=CostSource.NONE) & ~Q(state=State.OPEN)),
}


# --- what is to be done ----------------------------------------------------------------------------------------------


def touch(moments: Iterable[float | datetime]) -> None:
    """Say that records which started at these times are being written. In the transaction that writes them."""
    TouchedDay.objects.bulk_create([TouchedDay(day=day) for day in sorted({day_of(moment) for moment in moments})])


def stale_days() -> list[date]:
    """The days that were touched and not made since, oldest first."""
    return list(TouchedDay.objects.order_by("day").values_list("day", flat=True).distinct())


def recorded_days() -> tuple[date, date] | None:
    """The first and the last day of which there are records."""
    found = UsageRecord.objects.aggregate(first=Min("started_at"), last=Max("started_at"))
    return (day_of(found["first"]), day_of(found["last"])) if found["first"] else None


class Keeper:
    """Makes what is due, a day or a month with each call of `step`."""

    def __init__(self) -> None:
        self._days: list[date] = []

    def step(self) -> bool:
        """Make one day, or a month once all days are made; whether more is due."""
        self._days = self._days or due_days()
        if self._days:
            day = self._days.pop()
            if TouchedDay.objects.filter(day=day).exists():  # else another process was quicker
                roll_up_day(day)
            return bool(self._days or months_to_make())
        months = months_to_make()
        if months:
            roll_up_month(months.pop())
        return len(months) > 0


def due_days() -> list[date]:
    """The stale days that were not made just now."""
    stale = stale_days()
    made = RolledDay.objects.in_bulk(stale)
    return [day for day in stale if day not in made or _is_due(made[day])]


def _is_due(made: RolledDay) -> bool:
    rest = max(EVERY_SECONDS / 2, made.milliseconds / 1000 / LARGEST_SHARE)
    return made.made_at + timedelta(seconds=rest) <= timezone.now()


async def keep() -> None:
    """Keep the rollups up to date, for as long as the server runs."""
    await periodically(LEASE, Keeper().step, every=EVERY_SECONDS, lease=LEASE_SECONDS)


# --- one day ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def roll_up_day(day: date) -> None:
    """Make the rollup of `day` anew from its records.

    The marks are read before the records and only those are removed: what is written meanwhile has a mark of its own.
    """
    began = time.monotonic()
    lock_day(day)
    forget_month(day)
    marks = list(TouchedDay.objects.filter(day=day).values_list("pk", flat=True)[:MARKS_AT_ONCE])
    records = records_of(day)
    for table, rows in (
        (DailyUsage, _usage(records)),
        (DailyTiming, _timings(records)),
        (DailySession, _sessions(records)),
    ):
        _replace(table, day, rows)
    TouchedDay.objects.filter(pk__in=marks).delete()
    RolledDay.objects.filter(day=day).update(milliseconds=int((time.monotonic() - began) * 1000))


def lock_day(day: date) -> None:
    """Have nobody else make or seal `day` until the transaction is over."""
    RolledDay.objects.bulk_create(
        [RolledDay(day=day, made_at=timezone.now())],
        update_conflicts=True,
        unique_fields=["day"],
        update_fields=["made_at"],
    )


def records_of(day: date) -> QuerySet[UsageRecord]:
    return UsageRecord.objects.filter(started_at__gte=beginning(day), started_at__lt=end(day)).order_by()


def _replace(table: type[DailyFigure], day: date, rows: Iterator[dict[str, Any]]) -> None:
    manager = table._default_manager
    manager.filter(day=day, is_month=False, is_final=False).delete()
    manager.bulk_create((table(day=day, **row) for row in rows), batch_size=ROWS_AT_ONCE)


def _usage(records: QuerySet[UsageRecord]) -> Iterator[dict[str, Any]]:
    for row in records.values(*WHO, *WHAT).annotate(**SUMS).iterator():
        yield {name.removeprefix("sum_"): value for name, value in row.items()}


def _timings(records: QuerySet[UsageRecord]) -> Iterator[dict[str, Any]]:
    for measure, column in MEASURED.items():
        timed = records.filter(**{f"{column}__isnull": False}).annotate(bucket=bucket_in_sql(column))
        groups = timed.values("team_id", "team_name", "model", "bucket").annotate(requests=Count("pk"))
        for row in groups.iterator():
            yield {"measure": measure, **row}


def _sessions(records: QuerySet[UsageRecord]) -> Iterator[dict[str, Any]]:
    groups = records.exclude(session_id="").values("team_id", "team_name", "session_id", "email")
    sums: dict[str, Any] = {"requests": Count("pk"), "all_tokens": Sum(PROMPT_AND_ANSWER), "sum_cost": Sum("cost")}
    for row in groups.annotate(**sums).iterator():
        yield {name.removeprefix("sum_"): value for name, value in row.items()}


def bucket_in_sql(column: str, low: int = 0, high: int = LAST) -> Case | Value:
    """The class of a duration between `low` and `high`, as `usage.histogram` has it: found by halving."""
    if low == high:
        return Value(low)
    middle = (low + high + 1) // 2
    return Case(
        When(**{f"{column}__lt": BOUNDS[middle - 1]}, then=bucket_in_sql(column, low, middle - 1)),
        default=bucket_in_sql(column, middle, high),
        output_field=models.IntegerField(),
    )


# --- all of them -----------------------------------------------------------------------------------------------------


def days_to_rebuild(first: date | None, last: date | None) -> list[date]:
    """The days from `first` to `last`: by default all with records, and all that were touched."""
    recorded, stale = recorded_days(), stale_days()
    known = [*stale, *(recorded or ())]
    if not known and (first is None or last is None):
        return []
    return list(each(first or min(known), last or min(max(known), today())))


def rebuild(days: list[date]) -> Iterator[date]:
    """Make each of `days`, whether it is stale or not, and their months. Raises Taken."""
    yield from make_days(days)
    with turn(LEASE, LEASE_SECONDS, patience=PATIENCE_SECONDS) as held:
        for month in months_to_make():
            held.renew()
            roll_up_month(month)


def make_days(days: list[date]) -> Iterator[date]:
    """Make each of `days`. Raises Taken: another process is making some for long.

    Their months are left to the server; until then reports read the days.
    """
    with turn(LEASE, LEASE_SECONDS, patience=PATIENCE_SECONDS) as held:
        for day in days:
            held.renew()
            roll_up_day(day)
            yield day
