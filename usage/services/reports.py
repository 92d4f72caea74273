"""Owns what people ask of the rollups: who spent how much on what, how fast it was, what failed.

A report over a year asks the database as often as one over a day, and reads no records.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any, Self, TypeVar

from django.db.models import Max, Q, QuerySet, Sum

from accounts.scope import Scope
from usage.days import month_of
from usage.histogram import percentile
from usage.models import DailyFigure, DailySession, DailyTiming, DailyUsage, RolledDay, TouchedDay
from usage.services.monthly_rollups import made_months

D = TypeVar("D", bound=DailyFigure)
Measure = DailyTiming.Measure
BY_TEAM = Scope("team")
DEAREST = 10
WHO_AND_WHAT = ("team_name", "email", "key_name", "requested_model", "model", "provider", "error_type")


@dataclass(frozen=True, slots=True)
class Sums:
    """What some requests come to. Costs are picodollars."""

    requests: int = 0
    open: int = 0
    completed: int = 0
    errors: int = 0
    aborted: int = 0
    lost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    cost: int = 0
    estimated_cost: int = 0
    unpriced: int = 0

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(*(int(row[f"sum_{name}"]) for name in SUMMED))

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def cache_hit_rate(self) -> float | None:
        """How much of the prompts was read from a cache; None of no prompts."""
        return self.cache_read_tokens / self.prompt_tokens if self.prompt_tokens else None

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, name) + getattr(other, name) for name in SUMMED))


SUMMED = tuple(each.name for each in fields(Sums))
AGGREGATES: dict[str, Any] = {f"sum_{name}": Sum(name) for name in SUMMED}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which days, and whose: the teams that may be seen, or None for all; and which months are read as a whole."""

    first: date
    last: date
    teams: list[int] | None = None
    months: list[date] = field(default_factory=list)

    @property
    def with_months(self) -> "Selection":
        """The same, with what lies in it as a whole and is added up read by the month."""
        return replace(self, months=made_months(self.first, self.last))

    def of(self, table: type[D]) -> QuerySet[D]:
        in_months = Q()
        for month in self.months:
            in_months |= Q(day__range=month_of(month))
        days = Q(is_month=False, day__range=(self.first, self.last))
        wanted = (days & ~in_months) | Q(is_month=True, day__in=self.months) if self.months else days
        rows: QuerySet[D] = table._default_manager.filter(wanted).order_by()
        return rows if self.teams is None else BY_TEAM.narrowed(rows, self.teams)


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds that half of the requests, and 95 % of them, took at most."""

    p50: int | None = None
    p95: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that have who and what in common, and what they come to."""

    names: Mapping[str, str]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Session:
    """One of the dearest sessions."""

    session_id: str
    email: str
    team_name: str
    requests: int
    tokens: int
    cost: int


@dataclass(slots=True)
class Speeds:
    """How fast it was: everything together, and each model. The second key is a `Measure`."""

    _counts: dict[tuple[str | None, str], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, model: str, measure: str, bucket: int, requests: int) -> None:
        for name in (None, model):
            self._counts[name, measure][bucket] += requests

    def of(self, measure: str, model: str | None = None) -> Speed:
        counts = self._counts.get((model, measure), Counter())
        return Speed(percentile(counts, 0.5), percentile(counts, 0.95))


# --- asking the rollups ----------------------------------------------------------------------------------------------


def by_day(selection: Selection) -> dict[date, Sums]:
    """What each day comes to; a month that is read as a whole stands at its first."""
    rows = selection.of(DailyUsage).values("day").annotate(**AGGREGATES)
    return {row["day"]: Sums.of(row) for row in rows}


def groups(selection: Selection) -> list[Group]:
    """Every combination of who and what: one reading of the rollups, from which each breakdown follows."""
    rows = selection.of(DailyUsage).values(*WHO_AND_WHAT).annotate(**AGGREGATES)
    return [Group({name: row[name] for name in WHO_AND_WHAT}, Sums.of(row)) for row in rows.iterator()]


def speeds(selection: Selection) -> Speeds:
    found = Speeds()
    rows = selection.of(DailyTiming).values_list("model", "measure", "bucket").annotate(Sum("requests"))
    for row in rows.iterator():
        found.add(*row)
    return found


def dearest_sessions(selection: Selection) -> list[Session]:
    rows = selection.of(DailySession).values_list("session_id", "email", "team_name")
    sums = rows.annotate(sum_requests=Sum("requests"), sum_tokens=Sum("all_tokens"), sum_cost=Sum("cost"))
    return [Session(*row) for row in sums.order_by("-sum_cost", "session_id")[:DEAREST]]


def made_at(selection: Selection) -> datetime | None:
    """When a rollup of these days was made last."""
    made = RolledDay.objects.filter(day__gte=selection.first, day__lte=selection.last)
    moment: datetime | None = made.aggregate(last=Max("made_at"))["last"]
    return moment


def days_to_come(selection: Selection) -> int:
    """How many of these days are to be made anew."""
    marks = TouchedDay.objects.filter(day__gte=selection.first, day__lte=selection.last)
    return marks.values("day").distinct().count()


# --- adding up -------------------------------------------------------------------------------------------------------


def total(sums: Iterable[Sums]) -> Sums:
    return sum(sums, Sums())


def broken_down(found: Iterable[Group], *names: str) -> dict[tuple[str, ...], Sums]:
    """What each value of `names` comes to, the dearest first."""
    sums: dict[tuple[str, ...], Sums] = defaultdict(Sums)
    for group in found:
        key = tuple(group.names[name] for name in names)
        sums[key] += group.sums
    return dict(sorted(sums.items(), key=_dearest_first))


def _dearest_first(item: tuple[tuple[str, ...], Sums]) -> tuple[int, int, tuple[str, ...]]:
    names, sums = item
    return -sums.cost, -sums.requests, names


def over_time(days: Mapping[date, Sums], parts: Iterable[tuple[date, date]]) -> list[Sums]:
    """What each part of a period comes to: a day, or a month of which the days outside the period are missing."""
    wanted = list(parts)
    key: Callable[[date], date] = _month if any(first != last for first, last in wanted) else _day
    sums: dict[date, Sums] = defaultdict(Sums)
    for day, figures in days.items():
        sums[key(day)] += figures
    return [sums[key(first)] for first, _ in wanted]


def _month(day: date) -> date:
    return month_of(day)[0]


def _day(day: date) -> date:
    return day
