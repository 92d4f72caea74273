"""Owns what a day is in reports: a day of UTC, the same for every team. Pure.

A team's time zone can change, and a superuser looks at several at once; a day that depended on it would change figures
of the past, and days of two teams could not be added up.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

ONE = timedelta(days=1)
YEARS = range(2000, 2200)


class BadDay(Exception):
    """Something that is not a day, or a period that ends before it begins. The message says what was wrong."""


def today() -> date:
    return datetime.now(UTC).date()


def day_of(moment: float | datetime) -> date:
    """The day of a time, given in seconds of the epoch or with its zone."""
    return (moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC)).astimezone(UTC).date()


def beginning(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def end(day: date) -> datetime:
    """The first moment that belongs to `day` no more."""
    return beginning(day + ONE)


def each(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + number * ONE


def month_of(day: date) -> tuple[date, date]:
    """The first and the last day of the month that `day` is in."""
    first = day.replace(day=1)
    return first, (first + 31 * ONE).replace(day=1) - ONE


def parse_day(text: str, what: str) -> date:
    """`text` of the form 2026-11-30. Raises BadDay, which names `what`."""
    return _parsed(text, "%Y-%m-%d", f"{what}: {text[:40]!r} is not a day such as 2026-11-30.")


def parse_month(text: str, what: str) -> tuple[date, date]:
    """The first and the last day of `text`, of the form 2026-11. Raises BadDay, which names `what`."""
    return month_of(_parsed(text, "%Y-%m", f"{what}: {text[:40]!r} is not a month such as 2026-11."))


def _parsed(text: str, form: str, complaint: str) -> date:
    try:
        day = datetime.strptime(text, form).date()
    except ValueError:
        raise BadDay(complaint) from None
    if day.year not in YEARS:
        raise BadDay(complaint)
    return day
