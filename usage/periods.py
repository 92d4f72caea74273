"""Owns the periods of budgets: when a day, a week or a month begins and ends in a time zone. Pure.

A period begins at midnight by the calendar of its zone, so it is an hour longer or shorter where clocks change. A week
begins on Monday.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "week", "month"]
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The periods of one length in one time zone."""

    period: Period
    time_zone: str

    def __str__(self) -> str:
        return f"{self.period} {self.time_zone}"

    def start(self, moment: datetime) -> datetime:
        return start_of(self.period, moment, ZoneInfo(self.time_zone))

    def end(self, moment: datetime) -> datetime:
        return end_of(self.period, moment, ZoneInfo(self.time_zone))


def start_of(period: Period, moment: datetime, zone: ZoneInfo) -> datetime:
    """The beginning, in UTC, of the period that `moment` is in."""
    return _midnight(_first_day(period, moment, zone), zone)


def end_of(period: Period, moment: datetime, zone: ZoneInfo) -> datetime:
    """The end of the period that `moment` is in, which is the beginning of the next one."""
    return _midnight(_next(period, _first_day(period, moment, zone)), zone)


def _first_day(period: Period, moment: datetime, zone: ZoneInfo) -> date:
    day = moment.astimezone(zone).date()
    if period == "month":
        return day.replace(day=1)
    return day - DAY * day.weekday() if period == "week" else day


def _next(period: Period, first: date) -> date:
    if period == "month":
        return (first + DAY * 31).replace(day=1)
    return first + (DAY * 7 if period == "week" else DAY)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Where a clock skips midnight, this is the moment at which it does: the first of the day."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)
