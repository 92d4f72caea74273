"""Owns the periods that a report can be asked for: a name, or two days. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from usage.days import ONE, BadDay, each, month_of, parse_day

DEFAULT = "30d"
CUSTOM = "custom"
NAMES = {
    "today": "Today",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "month": "This month",
    "last-month": "Last month",
    "12m": "Last 12 months",
    CUSTOM: "From … to …",
}
LENGTHS = {"today": 1, "7d": 7, "30d": 30}
MOST_DAYS = 5 * 366
MOST_COLUMNS = 92  # a longer period is shown by months


@dataclass(frozen=True, slots=True)
class Period:
    """From a day to a day, both included, and how it was asked for."""

    name: str
    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def parts(self) -> list[tuple[date, date]]:
        """The period day by day, or month by month where that would be too many."""
        if self.days <= MOST_COLUMNS:
            return [(day, day) for day in each(self.first, self.last)]
        months = sorted({month_of(day) for day in each(self.first, self.last)})
        return [(max(first, self.first), min(last, self.last)) for first, last in months]

    @property
    def is_by_month(self) -> bool:
        return self.days > MOST_COLUMNS

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def period_of(query: Mapping[str, str], today: date) -> Period:
    """The period that a query asks for by `period`, or by `from` and `to`. Raises BadDay.

    `was` is the period that the form showed: days filled in count unless another period was chosen beside them.
    """
    name = query.get("period") or DEFAULT
    if query.get("from") and query.get("was") == name:
        name = CUSTOM
    if name not in NAMES:
        raise BadDay(f"period: {name[:40]!r} is none of {', '.join(NAMES)}.")
    return _custom(query, today) if name == CUSTOM else Period(name, *_named(name, today))


def _named(name: str, today: date) -> tuple[date, date]:
    if name in LENGTHS:
        return today - timedelta(days=LENGTHS[name] - 1), today
    this_month = today.replace(day=1)
    if name == "month":
        return this_month, today
    if name == "last-month":
        return month_of(this_month - ONE)
    year_ago = (this_month - timedelta(days=330)).replace(day=1)  # eleven months before this one
    return year_ago, today


def _custom(query: Mapping[str, str], today: date) -> Period:
    first = parse_day(query.get("from", ""), "from")
    last = parse_day(query["to"], "to") if query.get("to") else today
    if first > last:
        raise BadDay(f"from: {first} is after to, {last}.")
    if (last - first).days >= MOST_DAYS:
        raise BadDay(f"from: more than five years before to, {last}.")
    return Period(CUSTOM, first, last)
