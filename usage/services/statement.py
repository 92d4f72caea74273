"""Owns the statement of a team for a month: what it spent, exactly, by member, by personal key and by model.

It is made from the rollups, so it can be had after the records are gone; the days of the month that are to be made anew
are made first, so it says what the records say.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from accounts.models import Team
from usage.services import reports
from usage.services.reports import Group, Selection, Sums
from usage.services.rollups import stale_days

SECTIONS = {"member": ("email",), "key": ("email", "key_name"), "model": ("model",)}
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the section it is in, who or what it is about, what that comes to."""

    section: str
    names: tuple[str, ...]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Statement:
    """A team's month."""

    team: str
    first: date
    last: date
    total: Sums
    lines: list[Line]


def days_to_make(first: date, last: date) -> list[date]:
    """The days that must be rolled up before a statement about them is true."""
    return [day for day in stale_days() if first <= day <= last]


def team_called(name: str) -> Team | None:
    """By its short name, or by its name."""
    return Team.objects.filter(slug=name).first() or Team.objects.filter(name=name).first()


def statement_of(team: Team, first: date, last: date) -> Statement:
    found = reports.groups(Selection(first, last, [team.pk]).with_months)
    total = reports.total(group.sums for group in found)
    return Statement(team.name, first, last, total, [*_lines(found), Line(TOTAL, (team.name,), total)])


def _lines(found: Iterable[Group]) -> Iterable[Line]:
    groups = list(found)
    for section, names in SECTIONS.items():
        for values, sums in reports.broken_down(groups, *names).items():
            yield Line(section, values, sums)
