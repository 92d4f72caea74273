"""Owns the end of records: they are deleted a day at a time, and only after their day's rollup holds what they came to.

A day goes in one transaction, in pieces, so that neither its size nor an interruption matters: a day is there whole, or
its rollup is final and its records are gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.db import transaction

from usage.days import ONE, each, end
from usage.models import RolledDay, TouchedDay, UsageRecord
from usage.services.lease import turn
from usage.services.monthly_rollups import forget_month
from usage.services.rollups import (
    LEASE,
    LEASE_SECONDS,
    PATIENCE_SECONDS,
    TABLES,
    recorded_days,
    records_of,
    stale_days,
)

PIECE = 5_000


class NotYet(Exception):
    """Something that may not be deleted yet. The message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day that has something to delete, and how many rows that is."""

    day: date
    rows: int


# --- records ---------------------------------------------------------------------------------------------------------


def records_before(before: date) -> list[Day]:
    """The days before `before` that have records."""
    recorded = recorded_days()
    days = each(recorded[0], min(recorded[1], before - ONE)) if recorded else iter(())
    counted = (Day(day, records_of(day).count()) for day in days)
    return [found for found in counted if found.rows]


def check(days: list[Day]) -> None:
    """Raise NotYet unless every one of `days` has a rollup that holds all its records, and none of them is open."""
    wanted = {found.day for found in days}
    made = set(RolledDay.objects.filter(day__in=wanted).values_list("day", flat=True))
    if missing := sorted(wanted - (made - set(stale_days()))):
        raise NotYet(
            f"{len(missing)} days are not in the rollups yet, the first is {missing[0]}: "
            "start the server, or run rebuild_rollups."
        )
    if days and (is_open := _first_open(max(wanted))):
        raise NotYet(f"Requests of {is_open} are not settled yet: the server does that when it has started.")


def _first_open(last: date) -> date | None:
    opened = UsageRecord.objects.filter(state=UsageRecord.State.OPEN, started_at__lt=end(last)).order_by("started_at")
    first = opened.values_list("started_at", flat=True).first()
    return first.date() if first else None


def delete_records(days: list[Day]) -> Iterator[Day]:
    """Delete the records of `days`, the oldest first. Raises NotYet, or Taken."""
    with turn(LEASE, LEASE_SECONDS, patience=PATIENCE_SECONDS) as held:
        for found in days:
            held.renew()
            _delete_day(found.day)
            yield found


@transaction.atomic
def _delete_day(day: date) -> None:
    """Seal the rollup and delete what it was made of.

    Whatever is written to the day leaves a mark: one that is there before, or has come by the end, undoes it all.
    """
    RolledDay.objects.select_for_update().get(day=day)
    _refuse_touched(day)
    for table in TABLES:
        table._default_manager.filter(day=day, is_month=False, is_final=False).update(is_final=True)
    while keys := list(records_of(day).values_list("pk", flat=True)[:PIECE]):
        UsageRecord.objects.filter(pk__in=keys).delete()
    _refuse_touched(day)


def _refuse_touched(day: date) -> None:
    if TouchedDay.objects.filter(day=day).exists():
        raise NotYet(f"Records of {day} have just been written: its rollup does not hold them yet.")


# --- rollups ---------------------------------------------------------------------------------------------------------


def rollups_before(before: date) -> list[Day]:
    """The days before `before` that have a rollup."""
    days = RolledDay.objects.filter(day__lt=before).order_by("day").values_list("day", flat=True)
    return [
        Day(day, sum(table._default_manager.filter(day=day, is_month=False).count() for table in TABLES))
        for day in days
    ]


def check_rollups(days: list[Day]) -> None:
    """Raise NotYet if records of one of `days` are there: its rollup would be made again."""
    recorded = recorded_days()
    if recorded and days and days[-1].day >= recorded[0]:
        raise NotYet(f"There are records from {recorded[0]} on: delete those first.")


def delete_rollups(days: list[Day]) -> Iterator[Day]:
    with turn(LEASE, LEASE_SECONDS, patience=PATIENCE_SECONDS) as held:
        for found in days:
            held.renew()
            with transaction.atomic():
                forget_month(found.day)
                for table in TABLES:
                    table._default_manager.filter(day=found.day, is_month=False).delete()
                RolledDay.objects.filter(day=found.day).delete()
            yield found
